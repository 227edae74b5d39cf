package merkle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
	"github.com/driveshare/downstream-node/heartbeat/internal/heartbeattest"
	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
)

// Each leaf must equal the leaf that the farmer's side computes. The farmer's side
// hashes one window at a time with crypto/sha256. The cases have windows that are
// smaller and larger than a segment. The windows overlap, touch or leave gaps. They
// are in one batch or in many batches.
func TestLeavesEqualThoseOfTheFarmer(t *testing.T) {
	const mib = 1 << 20
	heartbeattest.EachKernel(t, sha256x.Kernels, func(t *testing.T) {
		for _, test := range []struct {
			size, chunk int64
			challenges  int
		}{
			{0, 0, 3},
			{1, 1, 5},
			{1, 0, 5},
			{100, 32, 40},
			{1000, 63, 256},
			{1000, 64, 256},
			{1000, 65, 256},
			{1000, 1000, 17},
			{300_000, 200_000, 40},
			{mib, 10_000, 256},
			{mib, 64, 1500},
			{mib, 1, 2100},
			{3 * mib, segmentSize, 20},
			{3 * mib, segmentSize + 1, 1},
			{3 * mib, 2*segmentSize - 1, 16},
			{3*mib + 17, 8192, 15},
			{1 << 30, 8192, 30},
		} {
			t.Run(fmt.Sprintf("%d of %d bytes, %d challenges", test.chunk, test.size, test.challenges), func(t *testing.T) {
				key, seed := [seedSize]byte{1}, [seedSize]byte{2}
				file := filestream.New("leaves", test.size)
				got := make([][hashSize]byte, test.challenges)
				windows := newWindows(key, seed, test.challenges, test.size, test.chunk)
				if err := hashWindows(t.Context(), file, test.chunk, windows, got); err != nil {
					t.Fatal(err)
				}
				for i := range got {
					seed = nextSeed(key, seed)
					blob, err := blobOf(t.Context(), file, test.size, test.chunk, seed)
					if err != nil {
						t.Fatal(err)
					}
					if got[i] != leafHash(blob, int64(i)) {
						t.Fatalf("leaf %d is %x, want %x", i, got[i], leafHash(blob, int64(i)))
					}
				}
			})
		}
	})
}

// countingFile counts the bytes that are read. If the function before returns an
// error, the read fails.
type countingFile struct {
	io.ReaderAt
	read   atomic.Int64
	before func(offset int64) error
}

func (f *countingFile) ReadAt(p []byte, offset int64) (int, error) {
	if f.before != nil {
		if err := f.before(offset); err != nil {
			return 0, err
		}
	}
	n, err := f.ReaderAt.ReadAt(p, offset)
	f.read.Add(int64(n))
	return n, err
}

// Overlapping windows must be read only once, except at the ends of the lanes'
// strips. Bytes between windows must not be read.
func TestEncodeReadsLittleTwice(t *testing.T) {
	t.Parallel()
	h := &Heartbeat{}
	for name, test := range map[string]struct{ size, chunk, most int64 }{
		"windows cover the file": {8 << 20, 8 << 20 / 100, 8 << 20 * 5 / 4},
		"gaps":                   {1 << 30, 4096, 256 * 4096},
	} {
		file := &countingFile{ReaderAt: filestream.New("", test.size)}
		windows := newWindows(h.key, [seedSize]byte{}, DefaultChallenges, test.size, test.chunk)
		leaves := make([][hashSize]byte, len(windows))
		if err := hashBatch(t.Context(), file, test.chunk, windows, leaves); err != nil {
			t.Fatal(err)
		}
		if read := file.read.Load(); read > test.most {
			t.Errorf("%s: read %d bytes, want at most %d", name, read, test.most)
		}
	}
}

func TestEncodeStopsAtErrors(t *testing.T) {
	t.Parallel()
	const size = 4 << 20
	broken := errors.New("broken")
	ctx, cancel := context.WithCancel(t.Context())
	for name, test := range map[string]struct {
		file io.ReaderAt
		ctx  context.Context
		want error
	}{
		"broken file": {
			&countingFile{ReaderAt: filestream.New("", size), before: func(offset int64) error {
				if offset > size/2 {
					return broken
				}
				return nil
			}}, t.Context(), broken,
		},
		"file cut short": {filestream.New("", size/2), t.Context(), io.ErrUnexpectedEOF},
		"cancelled": {
			&countingFile{ReaderAt: filestream.New("", size), before: func(int64) error {
				cancel()
				return nil
			}}, ctx, context.Canceled,
		},
	} {
		fraction := 0.02
		h := &Heartbeat{fraction: &fraction}
		if _, err := h.Encode(test.ctx, test.file, size, io.Discard, heartbeat.EncodeOptions{}); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}
