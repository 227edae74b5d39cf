package merkle

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
	"github.com/driveshare/downstream-node/heartbeat/internal/heartbeattest"
)

// encode encodes a file with a new heartbeat.
func encode(t testing.TB, fraction *float64, size int64, opt heartbeat.EncodeOptions) *heartbeattest.File {
	t.Helper()
	h, err := New(fraction)
	if err != nil {
		t.Fatal(err)
	}
	return heartbeattest.Encode(t, h, new(Prover), size, opt)
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

func TestProofForAnotherStateIsInvalid(t *testing.T) {
	t.Parallel()
	f := encode(t, new(1.0), 5000, heartbeat.EncodeOptions{Challenges: 4})
	challenge := f.Challenge(t)
	other := encode(t, new(1.0), 5000, heartbeat.EncodeOptions{Challenges: 4})
	if other.Verify(t, challenge, f.Prove(t, challenge)) {
		t.Error("a proof for the state of another heartbeat is valid")
	}
}

func TestVerifyErrors(t *testing.T) {
	t.Parallel()
	f := encode(t, new(0.01), 5000, heartbeat.EncodeOptions{Challenges: 4})
	challenge := f.Challenge(t)
	proof := f.Prove(t, challenge)
	wrongVersion := bytes.Clone(f.State)
	wrongVersion[0]++
	noChallenges := bytes.Clone(f.State)
	clear(noChallenges[1:9])
	for name, given := range map[string][2][]byte{
		"state of version 2":    {wrongVersion, challenge},
		"state of 0 challenges": {noChallenges, challenge},
		"index beyond the last": {f.State, fileChallenge{index: 4}.marshal()},
	} {
		if valid, err := f.Node.Verify(given[0], given[1], proof); valid || !errors.Is(err, heartbeat.ErrMalformed) {
			t.Errorf("%s: valid %v, %v", name, valid, err)
		}
	}
}

func TestProveRefusesIndexBeyondTheTag(t *testing.T) {
	t.Parallel()
	f := encode(t, new(0.01), 5000, heartbeat.EncodeOptions{Challenges: 3})
	beyond := fileChallenge{index: 3}.marshal()
	if _, err := f.Farmer.Prove(t.Context(), f.Content, 5000, f.Tag, beyond); !errors.Is(err, heartbeat.ErrMalformed) {
		t.Error(err)
	}
}

func TestEncodeRefusesOptions(t *testing.T) {
	t.Parallel()
	h, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, opt := range map[string]heartbeat.EncodeOptions{
		"short root seed":     {RootSeed: make([]byte, 31)},
		"too many challenges": {Challenges: MaxChallenges + 1},
		"-1 challenges":       {Challenges: -1},
		"chunks of -1 bytes":  {ChunkSize: new(int64(-1))},
	} {
		if _, err := h.Encode(t.Context(), filestream.New("s", 100), 100, io.Discard, opt); err == nil {
			t.Errorf("%s: encoded without an error", name)
		}
	}
}

// This test is not parallel, because it counts what the process allocates.
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
