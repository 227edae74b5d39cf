package merkle

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"math/big"

	"github.com/driveshare/downstream-node/heartbeat"
)

const (
	// fixedChunk is the bytes of a challenge where there is no fraction.
	fixedChunk = 8192
	// leastChunk is what a fraction is rounded up to: a challenge of no bytes
	// is proved with no file (section 7), and one of a few by guessing.
	leastChunk = 32
	// readSize is how much of a file is read, and held, at a time.
	readSize = 64 << 10
)

// Encode reads the parts of the file that will be challenged, as many bytes
// as there are challenges times the bytes of each, and holds about 100 bytes a
// challenge. It gives io.ErrUnexpectedEOF where file is shorter than size.
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
	seed := rootSeed
	for i := range leaves {
		seed = nextSeed(h.key, seed)
		blob, err := blobOf(ctx, file, size, chunk, seed)
		if err != nil {
			return nil, fmt.Errorf("merkle: encode challenge %d: %w", i, err)
		}
		leaves[i] = leafHash(blob, int64(i))
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

// blobOf gives HMAC(seed, file[pos:pos+chunk]), pos being where the seed says.
func blobOf(ctx context.Context, file io.ReaderAt, size, chunk int64, seed [seedSize]byte) ([]byte, error) {
	positions := big.NewInt(size - chunk + 1)
	pos := keyedPRF(seed[:], positions, 0).Int64()

	mac := hmac.New(sha256.New, seed[:])
	part := io.NewSectionReader(file, pos, chunk)
	buffer := make([]byte, min(chunk, readSize))
	for left := chunk; left > 0; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := io.ReadFull(part, buffer[:min(left, readSize)])
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, fmt.Errorf("read the file at %d: %w", pos+chunk-left, err)
		}
		mac.Write(buffer[:n])
		left -= int64(n)
	}
	return mac.Sum(nil), nil
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
