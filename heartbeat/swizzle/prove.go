package swizzle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
)

const (
	// readSize is how much of a file is read at once, in order.
	readSize = 64 << 10
	// checkEvery is how many chunks pass between looks at the context.
	checkEvery = 64
)

// Prove reads the chunks that the challenge names. It gives ErrMalformed where
// the tag or the challenge is not one, or the tag is not for a file of that
// size.
func (p *Prover) Prove(ctx context.Context, file io.ReaderAt, size int64, tag, challenge []byte) ([]byte, error) {
	n, err := p.checkSize(size)
	if err != nil {
		return nil, err
	}
	t, err := parseTag(tag)
	if err != nil {
		return nil, malformed("tag", err)
	}
	if uint64(t.n()) != uint64(n) {
		return nil, malformed("tag", fmt.Errorf("it has %d chunks, and a file of %d bytes has %d", t.n(), size, n))
	}
	c, err := parseChallenge(challenge)
	if err != nil {
		return nil, malformed("challenge", err)
	}

	mu := make([]sum, p.sectors)
	var sigma sum
	var v big.Int
	vs, at := newPRF(c.key, c.limit), newPositions(c.key, c.l, n)
	chunk := make([]byte, p.chunkSize())
	for i := range at.count {
		if i%checkEvery == 0 && ctx.Err() != nil {
			return nil, fmt.Errorf("swizzle: prove: %w", ctx.Err())
		}
		index := at.index(i)
		part, err := p.readChunk(file, size, index, chunk)
		if err != nil {
			return nil, fmt.Errorf("swizzle: read chunk %d of the file: %w", index, err)
		}
		vs.eval(&v, i)
		addSectors(mu, &v, part, p.sectorSize)
		sigma.addMulBytes(&v, t.sigma(index))
	}
	return p.reduce(mu, &sigma).marshal(), nil
}

// readChunk reads a chunk into buffer and gives the part that it fills.
func (f field) readChunk(file io.ReaderAt, size int64, index uint32, buffer []byte) ([]byte, error) {
	offset := int64(index) * f.chunkSize()
	part := buffer[:min(size-offset, f.chunkSize())]
	if len(part) == 0 {
		return part, nil
	}
	// An io.ReaderAt may say io.EOF along with the last byte.
	if n, err := file.ReadAt(part, offset); n < len(part) {
		return nil, unexpected(err)
	}
	return part, nil
}

func (f field) reduce(mu []sum, sigma *sum) proof {
	out := proof{mu: make([]*big.Int, len(mu))}
	for j := range mu {
		out.mu[j] = mu[j].mod(new(big.Int), f.p)
	}
	out.sigma = sigma.mod(new(big.Int), f.p)
	return out
}

// unexpected is err where the end of a file is not where it should be.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
