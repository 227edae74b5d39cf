package merkle

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"reflect"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
)

// vector is a case of testdata/merkle.json, computed by an independent
// implementation.
type vector struct {
	Challenges int
	File       struct {
		Seed string
		Size int64
	}
	Heartbeat, Public, Tag json.RawMessage
	Root                   []byte
	RootSeed               []byte `json:"root_seed"`
	Rounds                 []struct {
		Challenge, Proof json.RawMessage
		Valid            bool
		Why              string
	}
}

func (v vector) file() *filestream.Reader { return filestream.New(v.File.Seed, v.File.Size) }

// encode gives the tag and the state that the case must have.
func (v vector) encode(t testing.TB) (h *Heartbeat, tag, state []byte) {
	t.Helper()
	h, err := Parse(v.Heartbeat)
	if err != nil {
		t.Fatal(err)
	}
	var shape struct{ Chunksz int64 }
	if err := json.Unmarshal(v.Tag, &shape); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	state, err = h.Encode(t.Context(), v.file(), v.File.Size, &out, heartbeat.EncodeOptions{
		Challenges: v.Challenges, RootSeed: v.RootSeed, ChunkSize: &shape.Chunksz,
	})
	if err != nil {
		t.Fatal(err)
	}
	return h, out.Bytes(), state
}

func readVectors[V any](t testing.TB, name string) []V {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []V }
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) == 0 {
		t.Fatal("no vectors in " + name)
	}
	return file.Vectors
}

func TestKeyedPRFVectors(t *testing.T) {
	t.Parallel()
	type prfVector struct {
		Key, Out, Range string
		X               uint64
	}
	for _, v := range readVectors[prfVector](t, "keyed_prf.json") {
		key, err := hex.DecodeString(v.Key)
		if err != nil {
			t.Fatal(err)
		}
		limit, ok := new(big.Int).SetString(v.Range, 10)
		if !ok {
			t.Fatalf("range %q", v.Range)
		}
		if got := new(big.Int).SetBytes(keyedPRF(key, limit.Bytes(), v.X)); got.String() != v.Out {
			t.Errorf("KeyedPRF(%s, %s)(%d) = %v, want %s", v.Key, v.Range, v.X, got, v.Out)
		}
	}
}

func TestEncodeVectors(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors[vector](t, "merkle.json") {
		h, tag, state := v.encode(t)
		var wire bytes.Buffer
		if err := h.WriteTagJSON(&wire, bytes.NewReader(tag)); err != nil {
			t.Fatal(err)
		}
		sameJSON(t, "tag", wire.Bytes(), v.Tag)
		sameJSON(t, "private heartbeat", h.Private(), v.Heartbeat)
		sameJSON(t, "public heartbeat", h.Public(), v.Public)

		parsed, err := h.ParseTag(v.Tag)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(parsed, tag) {
			t.Errorf("%d challenges: the parsed tag is not the encoded one", v.Challenges)
		}
		s, err := parseState(state)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(s.root[:], v.Root) {
			t.Errorf("%d challenges: root %x, want %x", v.Challenges, s.root, v.Root)
		}
	}
}

// The rounds, each through the wire forms on both sides. A case lists its
// first rounds in order, then the invalid ones.
func TestRoundVectors(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors[vector](t, "merkle.json") {
		h, tag, first := v.encode(t)
		prover, err := ParsePublic(v.Public)
		if err != nil {
			t.Fatal(err)
		}
		state := first
		for i, round := range v.Rounds {
			challenge, err := h.ParseChallenge(round.Challenge)
			if err != nil {
				t.Fatal(err)
			}
			if round.Valid {
				var issued []byte
				if issued, state, err = h.Challenge(state); err != nil {
					t.Fatal(err)
				}
				wire, err := h.ChallengeJSON(issued)
				if err != nil {
					t.Fatal(err)
				}
				sameJSON(t, "challenge", wire, round.Challenge)
				proof, err := prover.Prove(t.Context(), v.file(), v.File.Size, tag, challenge)
				if err != nil {
					t.Fatal(err)
				}
				if wire, err = prover.ProofJSON(proof); err != nil {
					t.Fatal(err)
				}
				sameJSON(t, "proof", wire, round.Proof)
			}
			proof, err := h.ParseProof(round.Proof)
			if err != nil {
				t.Fatal(err)
			}
			// Challenges issued before can be verified with any state since.
			for _, s := range [][]byte{first, state} {
				valid, err := h.Verify(s, challenge, proof)
				if err != nil {
					t.Fatal(err)
				}
				if valid != round.Valid {
					t.Errorf("%d challenges, round %d (%s): valid %v, want %v", v.Challenges, i, round.Why, valid, round.Valid)
				}
			}
		}
	}
}

func TestChallengesEnd(t *testing.T) {
	t.Parallel()
	v := readVectors[vector](t, "merkle.json")[3]
	h, _, state := v.encode(t)
	for i := range v.Challenges {
		var err error
		if _, state, err = h.Challenge(state); err != nil {
			t.Fatalf("challenge %d of %d: %v", i, v.Challenges, err)
		}
	}
	if _, _, err := h.Challenge(state); !errors.Is(err, heartbeat.ErrNoMoreChallenges) {
		t.Errorf("after the last challenge: %v", err)
	}
}

// A state that leaks must not hold the seed of a challenge to come.
func TestStateHidesNextSeed(t *testing.T) {
	t.Parallel()
	v := readVectors[vector](t, "merkle.json")[1]
	h, _, state := v.encode(t)
	for range v.Challenges {
		challenge, next, err := h.Challenge(state)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(state, challenge[4:]) {
			t.Fatal("the state holds the seed of the next challenge")
		}
		state = next
	}
}

func sameJSON(t testing.TB, what string, got, want json.RawMessage) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if err := json.Unmarshal(want, &w); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}
