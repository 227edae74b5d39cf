package merkle

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
)

// Prove reads the part of the file that the challenge names. It gives
// ErrMalformed where the tag or the challenge is not one, or where one is not
// for the other or for a file of that size.
func (p *Prover) Prove(ctx context.Context, file io.ReaderAt, size int64, tag, challenge []byte) ([]byte, error) {
	t, err := parseTag(tag)
	if err != nil {
		return nil, err
	}
	if t.size != size {
		return nil, malformed("tag", fmt.Errorf("it is for a file of %d bytes, and this one has %d", t.size, size))
	}
	c, err := parseChallenge(challenge)
	if err != nil {
		return nil, err
	}
	if c.index >= t.tree.leaves() {
		return nil, malformed("challenge", fmt.Errorf("index %d, and the tag has %d challenges", c.index, t.tree.leaves()))
	}
	blob, err := blobOf(ctx, file, t.size, t.chunk, c.seed)
	if err != nil {
		return nil, fmt.Errorf("merkle: prove challenge %d: %w", c.index, err)
	}
	return proof{index: int64(c.index), blob: blob, rows: t.tree.branch(c.index)}.marshal(), nil
}

// blobOf gives HMAC(seed, file[pos:pos+chunk]), pos being where the seed says.
func blobOf(ctx context.Context, file io.ReaderAt, size, chunk int64, seed [seedSize]byte) ([]byte, error) {
	pos := positionOf(seed, size, chunk)
	mac := hmac.New(sha256.New, seed[:])
	part := io.NewSectionReader(file, pos, chunk)
	buffer := make([]byte, min(chunk, segmentSize))
	for left := chunk; left > 0; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := io.ReadFull(part, buffer[:min(left, segmentSize)])
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
