package merkle

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"io"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
)

const (
	// A batch of windows is hashed together, on one core. One of fewer than
	// leastBatch has too few for each lane, and needs more of the file read
	// twice; one of more than mostBatch gains nothing and takes memory.
	leastBatch = 64
	mostBatch  = 1024
)

// window is the part of the file that one challenge covers.
type window struct {
	pos   int64
	index int
	seed  [seedSize]byte
}

// newWindows gives the windows of the challenges that follow from the root
// seed, by their position, so that those that overlap are read together.
func newWindows(key, rootSeed [seedSize]byte, challenges int, size, chunk int64) []window {
	windows := make([]window, challenges)
	seed := rootSeed
	mac := hmac.New(sha256.New, key[:])
	for i := range windows {
		mac.Reset()
		mac.Write(seed[:])
		mac.Sum(seed[:0]) // nextSeed, with the key taken in once
		windows[i] = window{pos: positionOf(seed, size, chunk), index: i, seed: seed}
	}
	slices.SortFunc(windows, func(a, b window) int { return cmp.Compare(a.pos, b.pos) })
	return windows
}

// hashWindows sets leaves[i] to the leaf hash of challenge i, on all cores.
func hashWindows(ctx context.Context, file io.ReaderAt, chunk int64, windows []window, leaves [][hashSize]byte) error {
	cores := runtime.GOMAXPROCS(0)
	size := min(max((len(windows)+cores-1)/cores, leastBatch), mostBatch)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(cores)
	for part := range slices.Chunk(windows, size) {
		group.Go(func() error { return hashBatch(ctx, file, chunk, part, leaves) })
	}
	return group.Wait()
}

// hashBatch does so for some of them.
func hashBatch(ctx context.Context, file io.ReaderAt, chunk int64, windows []window, leaves [][hashSize]byte) error {
	seeds := make([][seedSize]byte, len(windows))
	for i := range windows {
		seeds[i] = windows[i].seed
	}
	macs := sha256x.NewMACs(seeds)
	if err := sweepAll(ctx, file, chunk, windows, macs); err != nil {
		return err
	}
	blobs := seeds // which the MACs have taken in
	sha256x.SumMACs(blobs, macs)

	messages := make([][]byte, len(windows))
	memory := make([]byte, 0, len(windows)*leafSize)
	for i := range windows {
		start := len(memory)
		memory = appendLeaf(memory, blobs[i][:], int64(windows[i].index))
		messages[i] = memory[start:]
	}
	hashes := blobs
	sha256x.Sum(hashes, messages)
	for i := range windows {
		leaves[windows[i].index] = hashes[i]
	}
	return nil
}
