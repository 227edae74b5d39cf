package merkle

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"reflect"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/internal/heartbeattest"
)

func readVectors(t testing.TB) []heartbeattest.Vector {
	t.Helper()
	return heartbeattest.ReadVectors[heartbeattest.Vector](t, "testdata/merkle.json")
}

// encodeVector returns the tag and the state of a test vector.
func encodeVector(t testing.TB, v heartbeattest.Vector) (h *Heartbeat, tag, state []byte) {
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
	state, err = h.Encode(t.Context(), v.Content(), v.File.Size, &out, heartbeat.EncodeOptions{
		Challenges: v.Challenges, RootSeed: v.RootSeed, ChunkSize: &shape.Chunksz,
	})
	if err != nil {
		t.Fatal(err)
	}
	return h, out.Bytes(), state
}

func TestKeyedPRFVectors(t *testing.T) {
	t.Parallel()
	type prfVector struct {
		Key, Out, Range string
		X               uint64
	}
	for _, v := range heartbeattest.ReadVectors[prfVector](t, "testdata/keyed_prf.json") {
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
	for _, v := range readVectors(t) {
		h, tag, state := encodeVector(t, v)
		var wire bytes.Buffer
		if err := h.WriteTagJSON(&wire, bytes.NewReader(tag)); err != nil {
			t.Fatal(err)
		}
		sameJSON(t, "tag", wire.Bytes(), v.Tag)

		parsed, err := h.ParseTag(v.Tag)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(parsed, tag) {
			t.Errorf("%d challenges: the parsed tag differs from the encoded one", v.Challenges)
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

func TestChallengesEnd(t *testing.T) {
	t.Parallel()
	v := readVectors(t)[3]
	h, _, state := encodeVector(t, v)
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

// A leaked state must not disclose the seed of the next challenge.
func TestStateHidesNextSeed(t *testing.T) {
	t.Parallel()
	v := readVectors(t)[1]
	h, _, state := encodeVector(t, v)
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
