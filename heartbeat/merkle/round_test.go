package merkle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
)

// encoded is a file as both sides have it.
type encoded struct {
	h     *Heartbeat
	file  *filestream.Reader
	tag   []byte
	state []byte
}

func encode(t testing.TB, fraction *float64, size int64, o heartbeat.EncodeOptions) encoded {
	t.Helper()
	h, err := New(fraction)
	if err != nil {
		t.Fatal(err)
	}
	e := encoded{h: h, file: filestream.New(fmt.Sprint("file of ", size), size)}
	var tag bytes.Buffer
	if e.state, err = h.Encode(t.Context(), e.file, size, &tag, o); err != nil {
		t.Fatal(err)
	}
	e.tag = tag.Bytes()
	return e
}

// challenge issues the next challenge.
func (e *encoded) challenge(t testing.TB) (challenge []byte) {
	t.Helper()
	challenge, next, err := e.h.Challenge(e.state)
	if err != nil {
		t.Fatal(err)
	}
	e.state = next
	return challenge
}

func (e encoded) prove(t testing.TB, challenge []byte) []byte {
	t.Helper()
	proof, err := new(Prover).Prove(t.Context(), e.file, e.file.Size(), e.tag, challenge)
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

func (e encoded) verify(t testing.TB, challenge, proof []byte) bool {
	t.Helper()
	valid, err := e.h.Verify(e.state, challenge, proof)
	if err != nil {
		t.Fatal(err)
	}
	return valid
}

func TestRoundsOfOddFiles(t *testing.T) {
	t.Parallel()
	// 3200 is where 1% is 32 bytes, and 8192 the chunk without a fraction.
	for _, size := range []int64{0, 1, 31, 32, 33, 3199, 3200, 3201, 8191, 8192, 8193, 65537} {
		for _, fraction := range []*float64{nil, new(0.0), new(0.01), new(1.0)} {
			for _, challenges := range []int{1, 2, 3, 5, 8} {
				e := encode(t, fraction, size, heartbeat.EncodeOptions{Challenges: challenges})
				for i := range challenges {
					challenge := e.challenge(t)
					if !e.verify(t, challenge, e.prove(t, challenge)) {
						t.Errorf("file of %d bytes, challenge %d of %d: not valid", size, i, challenges)
					}
				}
			}
		}
	}
}

func TestChunkSize(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fraction   *float64
		size, want int64
	}{
		{nil, 0, 0},
		{nil, 8191, 8191},
		{nil, 8193, 8192},
		{new(0.01), 0, 0},
		{new(0.01), 31, 31},
		{new(0.01), 3299, 32},
		{new(0.01), 3300, 33},
		{new(0.0), 1 << 40, 32},
		{new(1.0), 1 << 40, 1 << 40},
		{new(0.37), 32768, 12124},
	} {
		if got := chunkSize(test.fraction, test.size); got != test.want {
			t.Errorf("chunk of a file of %d bytes: %d, want %d", test.size, got, test.want)
		}
	}
}

// Every single bit of a proof counts.
func TestTamperedProof(t *testing.T) {
	t.Parallel()
	for _, challenges := range []int{1, 5, 8} {
		e := encode(t, new(0.01), 5000, heartbeat.EncodeOptions{Challenges: challenges})
		challenge := e.challenge(t)
		proof := e.prove(t, challenge)
		for at := range proof {
			for bit := range 8 {
				bad := bytes.Clone(proof)
				bad[at] ^= 1 << bit
				if e.verify(t, challenge, bad) {
					t.Errorf("%d challenges: byte %d, bit %d changed: valid", challenges, at, bit)
				}
			}
		}
		for cut := range proof {
			if e.verify(t, challenge, proof[:cut]) {
				t.Errorf("%d challenges: cut to %d bytes: valid", challenges, cut)
			}
		}
		if e.verify(t, challenge, append(bytes.Clone(proof), 0)) {
			t.Errorf("%d challenges: one byte more: valid", challenges)
		}
	}
}

func TestSwappedChallenges(t *testing.T) {
	t.Parallel()
	e := encode(t, new(0.01), 5000, heartbeat.EncodeOptions{Challenges: 4})
	var challenges, proofs [][]byte
	for range 4 {
		challenges = append(challenges, e.challenge(t))
		proofs = append(proofs, e.prove(t, challenges[len(challenges)-1]))
	}
	for i, challenge := range challenges {
		for j, proof := range proofs {
			if got := e.verify(t, challenge, proof); got != (i == j) {
				t.Errorf("proof %d to challenge %d: valid %v", j, i, got)
			}
		}
	}
}

// Another file, another key, or a part of the file changed.
func TestProofOfAnotherFile(t *testing.T) {
	t.Parallel()
	e := encode(t, new(1.0), 5000, heartbeat.EncodeOptions{Challenges: 4})
	challenge := e.challenge(t)
	content := make([]byte, 5000)
	if _, err := e.file.ReadAt(content, 0); err != nil {
		t.Fatal(err)
	}
	content[4999] ^= 1
	proof, err := new(Prover).Prove(t.Context(), bytes.NewReader(content), 5000, e.tag, challenge)
	if err != nil {
		t.Fatal(err)
	}
	if e.verify(t, challenge, proof) {
		t.Error("one bit of the file changed: valid")
	}
	other := encode(t, new(1.0), 5000, heartbeat.EncodeOptions{Challenges: 4})
	if other.verify(t, challenge, e.prove(t, challenge)) {
		t.Error("the state of another heartbeat: valid")
	}
}

// What the node itself would have to have broken is an error, not a verdict.
func TestVerifyErrors(t *testing.T) {
	t.Parallel()
	e := encode(t, new(0.01), 5000, heartbeat.EncodeOptions{Challenges: 4})
	challenge := e.challenge(t)
	proof := e.prove(t, challenge)
	beyond := fileChallenge{index: 4}.marshal()
	wrongVersion := bytes.Clone(e.state)
	wrongVersion[0]++
	noChallenges := bytes.Clone(e.state)
	clear(noChallenges[1:9])
	for name, given := range map[string][2][]byte{
		"state cut short":       {e.state[1:], challenge},
		"state of version 2":    {wrongVersion, challenge},
		"state of 0 challenges": {noChallenges, challenge},
		"no state":              {nil, challenge},
		"challenge cut short":   {e.state, challenge[1:]},
		"index beyond the last": {e.state, beyond},
	} {
		if valid, err := e.h.Verify(given[0], given[1], proof); valid || !errors.Is(err, heartbeat.ErrMalformed) {
			t.Errorf("%s: valid %v, %v", name, valid, err)
		}
	}
	if _, _, err := e.h.Challenge(nil); !errors.Is(err, heartbeat.ErrMalformed) {
		t.Errorf("challenge without state: %v", err)
	}
}

func TestProveErrors(t *testing.T) {
	t.Parallel()
	e := encode(t, new(0.01), 5000, heartbeat.EncodeOptions{Challenges: 3})
	challenge := e.challenge(t)
	for name, given := range map[string][2][]byte{
		"tag cut short":         {e.tag[:len(e.tag)-1], challenge},
		"no tag":                {nil, challenge},
		"challenge cut short":   {e.tag, challenge[1:]},
		"index beyond the last": {e.tag, fileChallenge{index: 3}.marshal()},
	} {
		if _, err := new(Prover).Prove(t.Context(), e.file, 5000, given[0], given[1]); !errors.Is(err, heartbeat.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := new(Prover).Prove(t.Context(), e.file, 4999, e.tag, challenge); !errors.Is(err, heartbeat.ErrMalformed) {
		t.Errorf("file of another size: %v", err)
	}
	if _, err := new(Prover).Prove(t.Context(), bytes.NewReader(nil), 5000, e.tag, challenge); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("file cut short: %v", err)
	}
}

func TestEncodeErrors(t *testing.T) {
	t.Parallel()
	h, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	file := filestream.New("s", 100)
	for name, o := range map[string]heartbeat.EncodeOptions{
		"short root seed":       {RootSeed: make([]byte, 31)},
		"too many challenges":   {Challenges: MaxChallenges + 1},
		"fewer than none":       {Challenges: -1},
		"chunks of less than 0": {ChunkSize: new(int64(-1))},
	} {
		if _, err := h.Encode(t.Context(), file, 100, io.Discard, o); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
	if _, err := h.Encode(t.Context(), file, -1, io.Discard, heartbeat.EncodeOptions{}); err == nil {
		t.Error("a file of -1 bytes: encoded")
	}
	if _, err := h.Encode(t.Context(), file, 101, io.Discard, heartbeat.EncodeOptions{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("file cut short: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Encode(ctx, file, 100, io.Discard, heartbeat.EncodeOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestCheckFractionRange(t *testing.T) {
	t.Parallel()
	zero := 0.0
	for _, bad := range []float64{-0.01, 1.01, zero / zero} {
		if _, err := New(&bad); err == nil {
			t.Errorf("check fraction %v: accepted", bad)
		}
	}
}

// Not parallel: it counts what the process allocates.
func TestEncodeMemoryIsBounded(t *testing.T) {
	h, err := New(new(0.1))
	if err != nil {
		t.Fatal(err)
	}
	const size = 64 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := h.Encode(t.Context(), filestream.New("large", size), size, io.Discard, heartbeat.EncodeOptions{Challenges: 16}); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if all := after.TotalAlloc - before.TotalAlloc; all > 4<<20 {
		t.Errorf("encoding %d bytes allocated %d", size, all)
	}
}
