package swizzle

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/internal/aes256"
	"github.com/driveshare/downstream-node/heartbeat/internal/heartbeattest"
	"github.com/driveshare/downstream-node/heartbeat/internal/kernel"
	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
	"github.com/driveshare/downstream-node/heartbeat/internal/wide"
)

// choices are the kernel choices of the packages that this package uses.
var choices = []*kernel.Choice{wide.Kernels, sha256x.Kernels, aes256.Kernels}

// The other tests run with the best kernels. TestPortablePath repeats the tests
// that use kernels, with portable code.
func TestPortablePath(t *testing.T) {
	heartbeattest.EachPath(t, choices, func(t *testing.T) {
		// The group ends after all of its parallel tests have ended.
		t.Run("all", func(t *testing.T) {
			for name, test := range map[string]func(*testing.T){
				"PRF":               TestPRFEqualsDefinition,
				"chosen":            TestChosenEqualsDefinition,
				"encode vectors":    TestEncodeVectors,
				"round trip":        TestRoundTripWithVectorHeartbeats,
				"small prime":       TestHonestProofsWithSmallPrimeAreValid,
				"odd heartbeats":    TestHonestProofsWithOddHeartbeatsAreValid,
				"number of sectors": TestProofWithWrongNumberOfSectorsIsInvalid,
				"no challenge":      TestNothingChallengedAttackFails,
				"every chunk":       TestProofWithoutAChunkIsInvalid,
			} {
				t.Run(name, test)
			}
		})
	})
}

func readVectors(t testing.TB) []heartbeattest.Vector {
	t.Helper()
	return heartbeattest.ReadVectors[heartbeattest.Vector](t, "testdata/swizzle.json")
}

func parseVector(t testing.TB, v heartbeattest.Vector) (*Heartbeat, *Prover) {
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

func TestHeartbeatVectors(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors(t) {
		h, _ := parseVector(t, v)
		if !bytes.Equal(h.Private(), v.Heartbeat) {
			t.Errorf("private heartbeat %s, want %s", h.Private(), v.Heartbeat)
		}
		if !bytes.Equal(h.Public(), v.Public) {
			t.Errorf("public heartbeat %s, want %s", h.Public(), v.Public)
		}
	}
}

// The keys in the state determine the tag.
func TestEncodeVectors(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors(t) {
		h, _ := parseVector(t, v)
		s, err := h.openState(v.State)
		if err != nil {
			t.Fatal(err)
		}
		var tag, wire bytes.Buffer
		if err := h.writeTag(t.Context(), v.Content(), v.File.Size, &tag, nil, s); err != nil {
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
			t.Errorf("file of %d bytes: the parsed tag differs from the encoded one", v.File.Size)
		}
	}
}

// This package encodes a file with keys that it draws. The proofs for this file
// must be valid.
func TestRoundTripWithVectorHeartbeats(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors(t) {
		h, prover := parseVector(t, v)
		f := heartbeattest.Encode(t, h, prover, v.File.Size, heartbeat.EncodeOptions{})
		challenge := f.Challenge(t)
		if !f.Verify(t, challenge, f.Prove(t, challenge)) {
			t.Errorf("file of %d bytes: not valid", v.File.Size)
		}
	}
}

func mustWire(t testing.TB, wire json.RawMessage) []byte {
	t.Helper()
	var b []byte
	if err := json.Unmarshal(wire, &b); err != nil {
		t.Fatal(err)
	}
	return b
}
