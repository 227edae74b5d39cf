package merkle

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/driveshare/downstream-node/heartbeat"
)

const (
	// fixedChunk is the bytes of a challenge where there is no fraction.
	fixedChunk = 8192
	// leastChunk is what a fraction is rounded up to: a challenge of no bytes
	// is proved with no file (section 7), and one of a few by guessing.
	leastChunk = 32
)

// Encode reads the parts of the file that will be challenged, most of them only
// once however many challenges cover them, on as many cores as there are. It
// holds about 150 bytes a challenge and 1 MiB of the file a core. It gives io.ErrUnexpectedEOF where file is shorter than size.
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
	rootSeed, err := rootSeed(opt.RootSeed)
	if err != nil {
		return nil, err
	}
	chunk := chunkSize(h.fraction, size)
	if opt.ChunkSize != nil {
		if *opt.ChunkSize < 0 {
			return nil, fmt.Errorf("merkle: encode with a chunk size of %d bytes", *opt.ChunkSize)
		}
		chunk = min(*opt.ChunkSize, size)
	}

	leaves := make([][hashSize]byte, challenges)
	windows := newWindows(h.key, rootSeed, challenges, size, chunk)
	group, groupCtx := errgroup.WithContext(ctx)
	if opt.Content != nil {
		group.Go(func() error { return copyContent(groupCtx, opt.Content, file, size) })
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

// chunkSize is how many bytes of a file of that size one challenge covers.
func chunkSize(fraction *float64, size int64) int64 {
	if fraction == nil {
		return min(fixedChunk, size)
	}
	part := int64(*fraction * float64(size))
	return min(max(part, leastChunk), size)
}

func rootSeed(given []byte) (seed [seedSize]byte, err error) {
	switch len(given) {
	case 0:
		rand.Read(seed[:])
	case seedSize:
		copy(seed[:], given)
	default:
		err = fmt.Errorf("merkle: the root seed is %d bytes, want %d", len(given), seedSize)
	}
	return seed, err
}
