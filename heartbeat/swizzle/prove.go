package swizzle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/driveshare/downstream-node/heartbeat/internal/wide"
)

// readChunks is how many chunks are held while a proof is made.
const readChunks = 8

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
	if t.n() != n {
		return nil, malformed("tag", fmt.Errorf("it has %d chunks, and a file of %d bytes has %d", t.n(), size, n))
	}
	c, err := parseChallenge(challenge)
	if err != nil {
		return nil, malformed("challenge", err)
	}

	return p.answer(ctx, file, size, t, c)
}

// answer sums over the chunks that c names, reading a few at a time.
func (p *Prover) answer(ctx context.Context, file io.ReaderAt, size int64, t fileTag, c fileChallenge) ([]byte, error) {
	vSize := byteLen(c.limit)
	mu := wide.NewSums(p.sectors, vSize, p.sectorSize)
	sigma := wide.NewSums(1, vSize, p.pSize())
	chunks := make([]byte, readChunks*p.chunkSize())
	sigmas := make([]byte, readChunks*p.pSize())
	work := scratches.Get().(*scratch)
	defer scratches.Put(work)
	for indices, v := range c.chosen(t.n(), work) {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("swizzle: prove: %w", err)
		}
		for few := range slices.Chunk(indices, readChunks) {
			for i, index := range few {
				chunk := chunks[int64(i)*p.chunkSize():][:p.chunkSize()]
				if err := p.readChunk(file, size, index, chunk); err != nil {
					return nil, fmt.Errorf("swizzle: read chunk %d of the file: %w", index, err)
				}
				fit(sigmas[i*p.pSize():][:p.pSize()], t.sigma(index), p.p)
			}
			mu.Add(v[:len(few)*vSize], chunks)
			sigma.Add(v[:len(few)*vSize], sigmas)
			v = v[len(few)*vSize:]
		}
	}
	out := proof{sigma: sigma.Mod(0, p.p).Bytes()}
	for j := range p.sectors {
		out.mu = append(out.mu, mu.Mod(j, p.p).Bytes())
	}
	return out.marshal(), nil
}

// readChunk reads the sectors of a chunk.
func (f field) readChunk(file io.ReaderAt, size int64, index uint32, chunk []byte) error {
	offset := int64(index) * f.chunkSize()
	part := chunk[:min(size-offset, f.chunkSize())]
	if err := readAt(file, part, offset); err != nil {
		return err
	}
	f.align(chunk, len(part))
	return nil
}

// readAt fills b.
func readAt(file io.ReaderAt, b []byte, offset int64) error {
	if len(b) == 0 {
		return nil
	}
	// An io.ReaderAt may say io.EOF along with the last byte.
	if n, err := file.ReadAt(b, offset); n < len(b) {
		return unexpected(err)
	}
	return nil
}

// align makes whole sectors of a chunk of which the first size bytes are
// there: the last of them is a number of fewer bytes, and the rest are zero.
func (f field) align(chunk []byte, size int) {
	cut := size % f.sectorSize
	last := chunk[size-cut:]
	if cut == 0 {
		clear(last)
		return
	}
	clear(last[f.sectorSize:])
	copy(last[f.sectorSize-cut:f.sectorSize], last[:cut])
	clear(last[:f.sectorSize-cut])
}

// unexpected is err where the end of a file is not where it should be.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
