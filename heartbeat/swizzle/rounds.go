package swizzle

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"

	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
	"github.com/driveshare/downstream-node/heartbeat/internal/wide"
)

const (
	// leastChunks is the minimum number of chunks in a challenge, unless the file
	// has fewer chunks. A proof about no chunks does not need the file
	// (PROTOCOL.md, section 7).
	leastChunks = 16
	// readChunks is the number of chunks that Prove holds at a time.
	readChunks = 8
)

// Challenge implements heartbeat.Heartbeat. It draws a random key for the
// challenge. It does not change the state, and the number of challenges has no
// limit.
func (h *Heartbeat) Challenge(state []byte) (challenge, next []byte, err error) {
	s, err := h.openState(state)
	if err != nil {
		return nil, nil, err
	}
	c := fileChallenge{l: h.challenged(s.n), limit: h.p}
	rand.Read(c.key[:])
	return c.marshal(), state, nil
}

// challenged returns how many of n chunks a challenge covers for a check fraction.
func challenged(fraction float64, n uint32) uint32 {
	return max(uint32(fraction*float64(n)), min(n, leastChunks))
}

// Prove implements heartbeat.Prover. It reads the chunks that the challenge
// covers. It returns ErrMalformed if the tag or the challenge cannot be parsed, or
// if the tag does not belong to a file of size bytes.
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
	return p.prove(ctx, file, size, t, c)
}

// prove computes the sums over the chunks that c covers. It reads a few chunks at a
// time.
func (p *Prover) prove(ctx context.Context, file io.ReaderAt, size int64, t fileTag, c fileChallenge) ([]byte, error) {
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
		for some := range slices.Chunk(indices, readChunks) {
			for i, index := range some {
				chunk := chunks[int64(i)*p.chunkSize():][:p.chunkSize()]
				if err := p.readChunk(file, size, index, chunk); err != nil {
					return nil, fmt.Errorf("swizzle: read chunk %d of the file: %w", index, err)
				}
				fit(sigmas[i*p.pSize():][:p.pSize()], t.sigma(index), p.p)
			}
			mu.Add(v[:len(some)*vSize], chunks)
			sigma.Add(v[:len(some)*vSize], sigmas)
			v = v[len(some)*vSize:]
		}
	}
	out := proof{sigma: sigma.Mod(0, p.p).Bytes()}
	for j := range p.sectors {
		out.mu = append(out.mu, mu.Mod(j, p.p).Bytes())
	}
	return out.marshal(), nil
}

// readChunk reads a chunk and aligns its sectors.
func (f field) readChunk(file io.ReaderAt, size int64, index uint32, chunk []byte) error {
	offset := int64(index) * f.chunkSize()
	part := chunk[:min(size-offset, f.chunkSize())]
	if err := readAt(file, part, offset); err != nil {
		return err
	}
	f.align(chunk, len(part))
	return nil
}

// readAt fills b. It returns io.ErrUnexpectedEOF if the file ends first.
func readAt(file io.ReaderAt, b []byte, offset int64) error {
	if len(b) == 0 {
		return nil
	}
	n, err := file.ReadAt(b, offset)
	if n == len(b) {
		return nil // err may be io.EOF after the last byte of the file
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// align converts the first size bytes of a chunk into whole sectors. If the last
// sector is incomplete, align moves its bytes to the end of the sector, so that the
// sector is a big-endian number. It sets all other bytes to zero.
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

// Verify implements heartbeat.Heartbeat. A proof is valid if it has one mu for each
// sector and if
//
//	sigma = sum_i v_i * f(index(i)) + sum_j alpha_j * mu_j mod p.
//
// Bytes that cannot be parsed as a proof are an invalid proof.
func (h *Heartbeat) Verify(state, challenge, proofBytes []byte) (bool, error) {
	s, err := h.openState(state)
	if err != nil {
		return false, err
	}
	c, err := parseChallenge(challenge)
	if err == nil && c.limit.Cmp(h.p) != 0 {
		err = errors.New("it was made with another heartbeat")
	}
	if err == nil && c.l == 0 {
		err = errors.New("it names no chunk, so any file would do")
	}
	if err != nil {
		return false, malformed("challenge", err)
	}
	p, err := parseProof(proofBytes)
	if err != nil || len(p.mu) != h.sectors {
		return false, nil
	}

	work := scratches.Get().(*scratch)
	defer scratches.Put(work)
	return h.rightSide(s, c, p, work).Cmp(new(big.Int).SetBytes(p.sigma)) == 0, nil
}

// rightSide returns the right side of the equation of Verify.
func (h *Heartbeat) rightSide(s fileState, c fileChallenge, p proof, work *scratch) *big.Int {
	size := h.pSize()
	work.sums.Reset(1, size, size)
	work.f.set(&s.f, h.p)
	work.secrets = sized(work.secrets, batch*size)
	for indices, v := range c.chosen(s.n, work) {
		digests := work.digests[:len(indices)]
		sha256x.SumU32(digests, indices)
		work.f.draw(work.secrets, digests)
		work.sums.Add(v, work.secrets)
	}
	work.alphas = sized(work.alphas, h.sectors*size)
	h.drawAlphas(work.alphas, &work.alpha, s)
	work.mus = sized(work.mus, h.sectors*size)
	for j, mu := range p.mu {
		fit(work.mus[j*size:][:size], mu, h.p)
	}
	work.sums.Add(work.alphas, work.mus)
	return work.sums.Mod(0, h.p)
}

// fit sets dst to the big-endian number b. If b is longer than dst, fit sets dst to
// b modulo p. dst must be at least as long as p.
func fit(dst, b []byte, p *big.Int) {
	if len(b) > len(dst) {
		n := new(big.Int).SetBytes(b)
		n.Mod(n, p).FillBytes(dst)
		return
	}
	clear(dst[:len(dst)-len(b)])
	copy(dst[len(dst)-len(b):], b)
}
