package swizzle

import (
	"context"
	"fmt"
	"math/big"
	"slices"

	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
	"github.com/driveshare/downstream-node/heartbeat/internal/wide"
)

// tagger makes parts of a tag. It is not safe for concurrent use.
type tagger struct {
	*encoding
	f       prf
	dot     *wide.Dot
	digests [batch][sha256x.Size]byte
	sigmas  []byte
	last    []byte // the chunk that ends the file
}

func (e *encoding) newTagger() *tagger {
	var alpha prf
	b := make([]byte, e.sectors*e.pSize())
	e.drawAlphas(b, &alpha, e.state)
	alphas := make([]*big.Int, e.sectors)
	for j := range alphas {
		alphas[j] = new(big.Int).SetBytes(alpha.at(b, j))
	}
	t := &tagger{
		encoding: e,
		dot:      wide.NewDot(e.p, alphas, e.sectorSize),
		sigmas:   make([]byte, batch*e.pSize()),
		last:     make([]byte, e.chunkSize()),
	}
	t.f.set(&e.state.f, e.p)
	return t
}

// work reads a part and makes its tag.
func (t *tagger) work(ctx context.Context, p *part) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("swizzle: encode chunk %d: %w", p.first, err)
	}
	if p.memory == nil {
		p.memory = memories.Get().(*memory)
	}
	p.data = slices.Grow(p.data[:0], int(p.size))[:p.size]
	if err := readAt(t.file, p.data, int64(p.first)*t.chunkSize()); err != nil {
		return fmt.Errorf("swizzle: read chunks %d to %d of the file: %w", p.first, p.first+p.count-1, err)
	}
	whole := int64(len(p.data)) / t.chunkSize()
	t.f.draw(t.sigmas, digestsFrom(p.first, t.digests[:p.count]))
	t.dot.Add(t.sigmas[:whole*int64(t.pSize())], p.data)
	if whole < int64(p.count) {
		size := copy(t.last, p.data[whole*t.chunkSize():])
		t.align(t.last, size)
		t.dot.Add(t.sigmas[whole*int64(t.pSize()):][:t.pSize()], t.last)
	}
	p.tag = slices.Grow(p.tag[:0], int(p.count)*(4+t.pSize()))
	for i := range int(p.count) {
		p.tag = appendInteger(p.tag, t.sigmas[i*t.pSize():][:t.pSize()])
	}
	return nil
}
