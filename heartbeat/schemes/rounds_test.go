package schemes_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"reflect"
	"sync"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
	"github.com/driveshare/downstream-node/heartbeat/internal/aes256"
	"github.com/driveshare/downstream-node/heartbeat/internal/heartbeattest"
	"github.com/driveshare/downstream-node/heartbeat/internal/kernel"
	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
	"github.com/driveshare/downstream-node/heartbeat/internal/wide"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
)

// eachScheme runs a test with every scheme, with tuned code and with portable code.
// A test that uses eachScheme must not be parallel.
func eachScheme(t *testing.T, run func(t *testing.T, scheme heartbeat.Type)) {
	choices := []*kernel.Choice{wide.Kernels, sha256x.Kernels, aes256.Kernels}
	heartbeattest.EachPath(t, choices, func(t *testing.T) {
		for _, scheme := range all {
			t.Run(string(scheme), func(t *testing.T) { run(t, scheme) })
		}
	})
}

// sharedSwizzle is one heartbeat for all tests, because it takes long to find a
// prime.
var sharedSwizzle = sync.OnceValues(func() (heartbeat.Heartbeat, error) { return schemes.New(heartbeat.Swizzle, nil) })

// encode encodes a file with a heartbeat that has the given check fraction.
func encode(t *testing.T, scheme heartbeat.Type, fraction *float64, size int64, opt heartbeat.EncodeOptions) *heartbeattest.File {
	t.Helper()
	var node heartbeat.Heartbeat
	var err error
	if scheme == heartbeat.Swizzle {
		node, err = sharedSwizzle()
		check(t, err)
		node, err = schemes.ParsePrivate(scheme, node.Private(), fraction)
	} else {
		node, err = schemes.New(scheme, fraction)
	}
	check(t, err)
	farmer, err := schemes.ParsePublic(scheme, node.Public())
	check(t, err)
	return heartbeattest.Encode(t, node, farmer, size, opt)
}

func TestHonestProofsOfOddFilesAreValid(t *testing.T) {
	// Merkle: 1% of 3200 bytes is 32 bytes, the minimum of a challenge. Without a
	// check fraction, a challenge covers 8192 bytes. Swizzle: a chunk has 1280
	// bytes.
	sizes := []int64{
		0, 1, 31, 32, 33, 127, 128, 129, 1279, 1280, 1281, 3199, 3200, 3201, 8191, 8192, 8193,
		20*1280 - 1, 20 * 1280, 20*1280 + 1, 65537, 100 * 1280,
	}
	eachScheme(t, func(t *testing.T, scheme heartbeat.Type) {
		fractions := []*float64{nil, new(0.0), new(0.01), new(1.0)}
		counts := []int{1, 2, 3, 5, 8}
		if scheme == heartbeat.Swizzle {
			fractions, counts = []*float64{new(0.5)}, []int{2}
		}
		for _, size := range sizes {
			for _, fraction := range fractions {
				for _, challenges := range counts {
					f := encode(t, scheme, fraction, size, heartbeat.EncodeOptions{Challenges: challenges})
					for i := range challenges {
						challenge := f.Challenge(t)
						if !f.Verify(t, challenge, f.Prove(t, challenge)) {
							t.Errorf("file of %d bytes, challenge %d of %d: not valid", size, i, challenges)
						}
					}
				}
			}
		}
	})
}

func TestTamperedProofIsInvalid(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme heartbeat.Type) {
		for _, challenges := range []int{1, 5, 8} {
			f := encode(t, scheme, new(0.01), 3000, heartbeat.EncodeOptions{Challenges: challenges})
			challenge := f.Challenge(t)
			proof := f.Prove(t, challenge)
			for at := range proof {
				for bit := range 8 {
					if scheme == heartbeat.Swizzle && bit != at%8 {
						continue // Swizzle verifies too slowly to change every bit
					}
					bad := bytes.Clone(proof)
					bad[at] ^= 1 << bit
					if f.Verify(t, challenge, bad) {
						t.Errorf("%d challenges: a proof with another value of byte %d, bit %d is valid", challenges, at, bit)
					}
				}
			}
			for cut := range proof {
				if f.Verify(t, challenge, proof[:cut]) {
					t.Errorf("%d challenges: a proof that was cut to %d bytes is valid", challenges, cut)
				}
			}
			if f.Verify(t, challenge, append(bytes.Clone(proof), 0)) {
				t.Errorf("%d challenges: a proof with one more byte is valid", challenges)
			}
			if scheme == heartbeat.Swizzle {
				return // the number of challenges is not limited
			}
		}
	})
}

func TestProofOfAnotherChallengeIsInvalid(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme heartbeat.Type) {
		f := encode(t, scheme, new(0.5), 30_000, heartbeat.EncodeOptions{Challenges: 4})
		var challenges, proofs [][]byte
		for range 4 {
			challenge := f.Challenge(t)
			for _, other := range challenges {
				if bytes.Equal(challenge, other) {
					t.Fatal("two challenges are the same")
				}
			}
			challenges = append(challenges, challenge)
			proofs = append(proofs, f.Prove(t, challenge))
		}
		for i, challenge := range challenges {
			for j, proof := range proofs {
				if got := f.Verify(t, challenge, proof); got != (i == j) {
					t.Errorf("proof %d for challenge %d: valid %v", j, i, got)
				}
			}
		}
	})
}

// Two farmers hold copies of one file. Their tags differ, and each farmer knows both tags. A
// proof with the first tag must be invalid for the second copy.
func TestTagOfAnotherCopyProvesNothing(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme heartbeat.Type) {
		first := encode(t, scheme, new(0.5), 30_000, heartbeat.EncodeOptions{Challenges: 4})
		second := encode(t, scheme, new(0.5), 30_000, heartbeat.EncodeOptions{Challenges: 4})
		if bytes.Equal(first.Tag, second.Tag) {
			t.Fatal("the copies have the same tag")
		}
		for range 4 {
			challenge := second.Challenge(t)
			if !second.Verify(t, challenge, second.Prove(t, challenge)) {
				t.Error("the proof with the copy's own tag is invalid")
			}
			colluding := *second
			colluding.Tag = first.Tag
			if second.Verify(t, challenge, colluding.Prove(t, challenge)) {
				t.Error("the proof with the other copy's tag is valid")
			}
		}
	})
}

// The challenges cover the whole file, so a change of any byte must make the proof
// invalid.
func TestProofOfAChangedFileIsInvalid(t *testing.T) {
	const size = 5000
	eachScheme(t, func(t *testing.T, scheme heartbeat.Type) {
		f := encode(t, scheme, new(1.0), size, heartbeat.EncodeOptions{Challenges: 4})
		challenge := f.Challenge(t)
		for at := 99; at < size; at += 100 {
			content := make([]byte, size)
			_, err := f.Content.ReadAt(content, 0)
			check(t, err)
			content[at] ^= 1
			if f.Verify(t, challenge, f.ProveWith(t, bytes.NewReader(content), challenge)) {
				t.Errorf("byte %d of the file was changed, but the proof is valid", at)
			}
		}
	})
}

// If a state or a challenge is malformed, the node is at fault. Verify must return
// an error and no verdict.
func TestVerifyRefusesBrokenStatesAndChallenges(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme heartbeat.Type) {
		f := encode(t, scheme, new(0.01), 5000, heartbeat.EncodeOptions{})
		challenge := f.Challenge(t)
		proof := f.Prove(t, challenge)
		for name, given := range map[string][2][]byte{
			"no state":            {nil, challenge},
			"state without start": {f.State[1:], challenge},
			"state without end":   {f.State[:50], challenge},
			"no challenge":        {f.State, nil},
			"challenge cut short": {f.State, challenge[1:]},
		} {
			if valid, err := f.Node.Verify(given[0], given[1], proof); valid || !errors.Is(err, heartbeat.ErrMalformed) {
				t.Errorf("%s: valid %v, %v", name, valid, err)
			}
		}
		if _, _, err := f.Node.Challenge(nil); !errors.Is(err, heartbeat.ErrMalformed) {
			t.Errorf("challenge without state: %v", err)
		}
	})
}

func TestProveRefusesWhatDoesNotBelongTogether(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme heartbeat.Type) {
		const size = 3000
		f := encode(t, scheme, new(0.01), size, heartbeat.EncodeOptions{Challenges: 3})
		challenge := f.Challenge(t)
		for name, given := range map[string][2][]byte{
			"no tag":              {nil, challenge},
			"tag cut short":       {f.Tag[:len(f.Tag)-1], challenge},
			"tag too long":        {append(bytes.Clone(f.Tag), 0), challenge},
			"challenge cut short": {f.Tag, challenge[:9]},
			"challenge too short": {f.Tag, challenge[1:]},
		} {
			if _, err := f.Farmer.Prove(t.Context(), f.Content, size, given[0], given[1]); !errors.Is(err, heartbeat.ErrMalformed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := f.Farmer.Prove(t.Context(), f.Content, size+2000, f.Tag, challenge); !errors.Is(err, heartbeat.ErrMalformed) {
			t.Errorf("file of another size: %v", err)
		}
		if _, err := f.Farmer.Prove(t.Context(), bytes.NewReader(nil), size, f.Tag, challenge); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("file cut short: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := f.Farmer.Prove(ctx, f.Content, size, f.Tag, challenge); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

func TestEncodeReturnsErrors(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme heartbeat.Type) {
		node := encode(t, scheme, nil, 0, heartbeat.EncodeOptions{}).Node
		file := filestream.New("s", 100)
		if _, err := node.Encode(t.Context(), file, -1, io.Discard, heartbeat.EncodeOptions{}); err == nil {
			t.Error("a file of -1 bytes was encoded without an error")
		}
		if _, err := node.Encode(t.Context(), file, 101, io.Discard, heartbeat.EncodeOptions{}); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("file cut short: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := node.Encode(ctx, file, 100, io.Discard, heartbeat.EncodeOptions{}); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		full := errors.New("disk full")
		if _, err := node.Encode(t.Context(), file, 100, failing{full}, heartbeat.EncodeOptions{}); !errors.Is(err, full) {
			t.Errorf("tag not written: %v", err)
		}
	})
}

func TestCheckFractionOutOfRange(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme heartbeat.Type) {
		private := encode(t, scheme, nil, 0, heartbeat.EncodeOptions{}).Node.Private()
		for _, bad := range []float64{-0.01, 1.01, math.NaN()} {
			if _, err := schemes.ParsePrivate(scheme, private, &bad); err == nil {
				t.Errorf("check fraction %v was accepted", bad)
			}
		}
	})
}

// Each round converts objects to the wire form and back on both sides. A test
// vector lists its first rounds in order, and then invalid rounds.
func TestRoundVectors(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme heartbeat.Type) {
		path := map[heartbeat.Type]string{
			heartbeat.Merkle:  "../merkle/testdata/merkle.json",
			heartbeat.Swizzle: "../swizzle/testdata/swizzle.json",
		}[scheme]
		for _, v := range heartbeattest.ReadVectors[heartbeattest.Vector](t, path) {
			testRounds(t, scheme, v)
		}
	})
}

func testRounds(t *testing.T, scheme heartbeat.Type, v heartbeattest.Vector) {
	t.Helper()
	var fraction *float64
	if scheme == heartbeat.Swizzle {
		fraction = &v.CheckFraction
	}
	node, err := schemes.ParsePrivate(scheme, v.Heartbeat, fraction)
	check(t, err)
	farmer, err := schemes.ParsePublic(scheme, v.Public)
	check(t, err)
	sameJSON(t, "private heartbeat", node.Private(), v.Heartbeat)
	sameJSON(t, "public heartbeat", node.Public(), v.Public)
	tag, err := farmer.ParseTag(v.Tag)
	check(t, err)
	first := v.State
	if scheme == heartbeat.Merkle {
		var shape struct{ Chunksz int64 }
		check(t, json.Unmarshal(v.Tag, &shape))
		first, err = node.Encode(t.Context(), v.Content(), v.File.Size, io.Discard, heartbeat.EncodeOptions{
			Challenges: v.Challenges, RootSeed: v.RootSeed, ChunkSize: &shape.Chunksz,
		})
		check(t, err)
	}

	state := first
	for i, round := range v.Rounds {
		challenge, err := farmer.ParseChallenge(round.Challenge)
		check(t, err)
		again, err := node.ChallengeJSON(challenge)
		check(t, err)
		sameJSON(t, "challenge", again, round.Challenge)
		if round.Valid {
			issued, next, err := node.Challenge(state)
			check(t, err)
			state = next
			if scheme == heartbeat.Merkle && !bytes.Equal(issued, challenge) {
				t.Errorf("%d challenges, round %d: challenge %x, want %x", v.Challenges, i, issued, challenge)
			}
			proof, err := farmer.Prove(t.Context(), v.Content(), v.File.Size, tag, challenge)
			check(t, err)
			wire, err := farmer.ProofJSON(proof)
			check(t, err)
			sameJSON(t, "proof", wire, round.Proof)
		}
		proof, err := node.ParseProof(round.Proof)
		check(t, err)
		// Every later state must still verify this challenge.
		for _, s := range [][]byte{first, state} {
			valid, err := node.Verify(s, challenge, proof)
			check(t, err)
			if valid != round.Valid {
				t.Errorf("file of %d bytes, round %d (%s): valid %v, want %v", v.File.Size, i, round.Why, valid, round.Valid)
			}
		}
	}
}

func sameJSON(t *testing.T, what string, got, want json.RawMessage) {
	t.Helper()
	var g, w any
	check(t, json.Unmarshal(got, &g))
	check(t, json.Unmarshal(want, &w))
	if !reflect.DeepEqual(g, w) {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}
