package merkle

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
)

const (
	// fixedChunk is the number of bytes that a challenge covers if there is no
	// check fraction.
	fixedChunk = 8192
	// leastChunk is the minimum number of bytes in a challenge if there is a check
	// fraction. Without this minimum, a small file would have challenges of no
	// bytes or of few bytes. A proof about no bytes does not need the file
	// (PROTOCOL.md, section 7), and few bytes can be guessed.
	leastChunk = 32

	// A batch is a number of windows that are hashed together, on one core. A batch
	// with fewer than leastBatch windows has too few windows for each lane, and it
	// reads more of the file twice. A batch with more than mostBatch windows is no
	// faster and takes more memory.
	leastBatch = 64
	mostBatch  = 1024
)

// Encode implements heartbeat.Heartbeat. It reads only the parts of the file that
// challenges cover. It reads most of these parts once, even if challenges overlap.
// It uses all cores. It holds about 150 bytes per challenge, and 1 MiB of the file
// per core. If file has fewer than size bytes, it returns io.ErrUnexpectedEOF.
func (h *Heartbeat) Encode(ctx context.Context, file io.ReaderAt, size int64, tag io.Writer, opt heartbeat.EncodeOptions) ([]byte, error) {
	if size < 0 {
		return nil, fmt.Errorf("merkle: encode a file of %d bytes", size)
	}
	challenges := opt.Challenges
	if challenges == 0 {
		challenges = DefaultChallenges
	}
	if challenges < 1 || challenges > MaxChallenges {
		return nil, fmt.Errorf("merkle: encode %d challenges, want 1 to %d", challenges, MaxChallenges)
	}
	if opt.ChunkSize != nil && *opt.ChunkSize < 0 {
		return nil, fmt.Errorf("merkle: encode with a chunk size of %d bytes", *opt.ChunkSize)
	}
	chunk := h.chunkOf(size, challenges, opt)
	rootSeed, err := h.rootSeed(opt.RootSeed, newEdges(challenges, size, chunk))
	if err != nil {
		return nil, err
	}

	leaves := make([][hashSize]byte, challenges)
	windows := newWindows(h.key, rootSeed, challenges, size, chunk)
	group, groupCtx := errgroup.WithContext(ctx)
	if opt.Content != nil {
		group.Go(func() error { return copyRange(groupCtx, opt.Content, file, 0, size) })
	}
	group.Go(func() error { return hashWindows(groupCtx, file, chunk, windows, leaves) })
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("merkle: encode: %w", err)
	}
	tree := newTree(leaves)
	if err := writeTag(tag, fileTag{size: size, chunk: chunk, tree: tree}); err != nil {
		return nil, fmt.Errorf("merkle: write the tag: %w", err)
	}
	return fileState{next: 0, challenges: challenges, previous: rootSeed, root: tree.root()}.marshal(), nil
}

// chunkSize returns the number of bytes that one challenge covers in a file of
// size bytes.
func chunkSize(fraction *float64, size int64) int64 {
	if fraction == nil {
		return min(fixedChunk, size)
	}
	part := int64(*fraction * float64(size))
	return min(max(part, leastChunk), size)
}

// rootSeed returns the given root seed, or draws one that obeys the rule.
func (h *Heartbeat) rootSeed(given []byte, rule edges) (seed [seedSize]byte, err error) {
	switch len(given) {
	case 0:
		seed = rule.root(h.key)
	case seedSize:
		copy(seed[:], given)
	default:
		err = fmt.Errorf("merkle: the root seed is %d bytes, want %d", len(given), seedSize)
	}
	return seed, err
}

// newWindows returns the windows of all challenges, sorted by position. The order
// ensures that overlapping windows are read together.
func newWindows(key, rootSeed [seedSize]byte, challenges int, size, chunk int64) []window {
	windows := make([]window, challenges)
	seed := rootSeed
	mac := hmac.New(sha256.New, key[:])
	for i := range windows {
		// The loop computes the same seeds as nextSeed, but with one hmac.Hash for
		// all seeds.
		mac.Reset()
		mac.Write(seed[:])
		mac.Sum(seed[:0])
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

// hashBatch does what hashWindows does, for one batch.
func hashBatch(ctx context.Context, file io.ReaderAt, chunk int64, windows []window, leaves [][hashSize]byte) error {
	seeds := make([][seedSize]byte, len(windows))
	for i := range windows {
		seeds[i] = windows[i].seed
	}
	macs := sha256x.NewMACs(seeds)
	if err := sweepAll(ctx, file, chunk, windows, macs); err != nil {
		return err
	}
	blobs := seeds // blobs reuses the memory of seeds, because the MACs no longer need their keys
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
