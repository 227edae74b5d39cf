package swizzle

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
)

// vector is a case of testdata/swizzle.json, computed by an independent
// implementation.
type vector struct {
	CheckFraction float64 `json:"check_fraction"`
	File          struct {
		Seed string
		Size int64
	}
	Heartbeat, Public, Tag, State json.RawMessage
	Rounds                        []struct {
		Challenge, Proof json.RawMessage
		Valid            bool
		Why              string
	}
}

func (v vector) file() *filestream.Reader { return filestream.New(v.File.Seed, v.File.Size) }

func (v vector) parse(t testing.TB) (*Heartbeat, *Prover) {
	t.Helper()
	h, err := Parse(v.Heartbeat, v.CheckFraction)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParsePublic(v.Public)
	if err != nil {
		t.Fatal(err)
	}
	return h, p
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	raw, err := os.ReadFile("testdata/swizzle.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []vector }
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) == 0 {
		t.Fatal("no vectors")
	}
	return file.Vectors
}

func TestHeartbeatVectors(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors(t) {
		h, _ := v.parse(t)
		if !bytes.Equal(h.Private(), v.Heartbeat) {
			t.Errorf("private heartbeat %s, want %s", h.Private(), v.Heartbeat)
		}
		if !bytes.Equal(h.Public(), v.Public) {
			t.Errorf("public heartbeat %s, want %s", h.Public(), v.Public)
		}
	}
}

// The keys that the state holds must make the tag.
func TestEncodeVectors(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors(t) {
		h, _ := v.parse(t)
		s, err := h.openState(mustWire(t, v.State))
		if err != nil {
			t.Fatal(err)
		}
		var tag, wire bytes.Buffer
		if err := h.writeTag(t.Context(), v.file(), v.File.Size, &tag, nil, s); err != nil {
			t.Fatal(err)
		}
		if err := h.WriteTagJSON(&wire, bytes.NewReader(tag.Bytes())); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(wire.Bytes(), v.Tag) {
			t.Errorf("file of %d bytes: tag %s, want %s", v.File.Size, wire.Bytes(), v.Tag)
		}
		parsed, err := h.ParseTag(v.Tag)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(parsed, tag.Bytes()) {
			t.Errorf("file of %d bytes: the parsed tag is not the encoded one", v.File.Size)
		}
	}
}

func TestRoundVectors(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors(t) {
		h, prover := v.parse(t)
		tag, err := h.ParseTag(v.Tag)
		if err != nil {
			t.Fatal(err)
		}
		for i, round := range v.Rounds {
			challenge, err := h.ParseChallenge(round.Challenge)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := h.ChallengeJSON(challenge); err != nil || !bytes.Equal(again, round.Challenge) {
				t.Errorf("challenge %s, %v, want %s", again, err, round.Challenge)
			}
			if round.Valid {
				proof, err := prover.Prove(t.Context(), v.file(), v.File.Size, tag, challenge)
				if err != nil {
					t.Fatal(err)
				}
				if wire, err := prover.ProofJSON(proof); err != nil || !bytes.Equal(wire, round.Proof) {
					t.Errorf("file of %d bytes, round %d: proof %s, %v, want %s", v.File.Size, i, wire, err, round.Proof)
				}
			}
			proof, err := h.ParseProof(round.Proof)
			if err != nil {
				t.Fatal(err)
			}
			valid, err := h.Verify(mustWire(t, v.State), challenge, proof)
			if err != nil {
				t.Fatal(err)
			}
			if valid != round.Valid {
				t.Errorf("file of %d bytes, round %d (%s): valid %v, want %v", v.File.Size, i, round.Why, valid, round.Valid)
			}
		}
	}
}

// What this package encodes with keys of its own is proved and verified too.
func TestRoundTripWithVectorHeartbeats(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors(t) {
		h, prover := v.parse(t)
		var tag bytes.Buffer
		state, err := h.Encode(t.Context(), v.file(), v.File.Size, &tag, heartbeat.EncodeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		challenge, _, err := h.Challenge(state)
		if err != nil {
			t.Fatal(err)
		}
		proof, err := prover.Prove(t.Context(), v.file(), v.File.Size, tag.Bytes(), challenge)
		if err != nil {
			t.Fatal(err)
		}
		if valid, err := h.Verify(state, challenge, proof); !valid || err != nil {
			t.Errorf("file of %d bytes: valid %v, %v", v.File.Size, valid, err)
		}
	}
}

func mustWire(t testing.TB, wire json.RawMessage) []byte {
	t.Helper()
	b, err := parseWire(wire)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
