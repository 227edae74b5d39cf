package swizzle

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"math"

	"github.com/driveshare/downstream-node/heartbeat"
)

// Encode reads the whole file once, on several processors, and writes the tag
// as it goes, of which there is a tenth as much. Of the options it looks at
// Content only. It gives io.ErrUnexpectedEOF where file is shorter than size.
func (h *Heartbeat) Encode(ctx context.Context, file io.ReaderAt, size int64, tag io.Writer, opt heartbeat.EncodeOptions) ([]byte, error) {
	n, err := h.checkSize(size)
	if err != nil {
		return nil, err
	}
	s := fileState{n: n}
	rand.Read(s.f[:])
	rand.Read(s.alpha[:])
	if err := h.writeTag(ctx, file, size, tag, opt.Content, s); err != nil {
		return nil, err
	}
	return h.sealState(s), nil
}

// checkSize gives the number of chunks, which has to be a u32.
func (f field) checkSize(size int64) (uint32, error) {
	if size < 0 {
		return 0, fmt.Errorf("swizzle: a file of %d bytes", size)
	}
	n := f.chunks(size)
	if n > math.MaxUint32 {
		return 0, fmt.Errorf("swizzle: a file of %d bytes has more than 2^32-1 chunks", size)
	}
	return uint32(n), nil
}

// writeTag writes sigma_c = f(c) + sum_j alpha_j * m_{c,j} mod p for each
// chunk c of the file, and the file to content, where there is one.
func (h *Heartbeat) writeTag(ctx context.Context, file io.ReaderAt, size int64, tag, content io.Writer, s fileState) error {
	if _, err := tag.Write(appendU32(nil, s.n)); err != nil {
		return fmt.Errorf("swizzle: write the tag: %w", err)
	}
	e := h.newEncoding(file, size, s)
	return e.run(ctx, e.taggers(content != nil), func(p *part) error {
		if content != nil {
			if _, err := content.Write(p.data); err != nil {
				return fmt.Errorf("swizzle: write the content: %w", err)
			}
		}
		if _, err := tag.Write(p.tag); err != nil {
			return fmt.Errorf("swizzle: write the tag: %w", err)
		}
		return nil
	})
}
