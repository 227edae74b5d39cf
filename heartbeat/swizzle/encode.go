package swizzle

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"math"
	"math/big"

	"github.com/driveshare/downstream-node/heartbeat"
)

// writeSize is how much of a tag is held before it is written.
const writeSize = 64 << 10

// Encode reads the whole file once, front to back, and writes the tag as it
// goes, of which there is a tenth as much. The options are Merkle's and are
// not looked at. It gives io.ErrUnexpectedEOF where file is shorter than size.
func (h *Heartbeat) Encode(ctx context.Context, file io.ReaderAt, size int64, tag io.Writer, _ heartbeat.EncodeOptions) ([]byte, error) {
	n, err := h.checkSize(size)
	if err != nil {
		return nil, err
	}
	s := fileState{n: n}
	rand.Read(s.f[:])
	rand.Read(s.alpha[:])
	if err := h.writeTag(ctx, file, size, tag, s); err != nil {
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
// chunk c of the file.
func (h *Heartbeat) writeTag(ctx context.Context, file io.ReaderAt, size int64, tag io.Writer, s fileState) error {
	out := bufio.NewWriterSize(tag, writeSize)
	out.Write(appendU32(nil, s.n))

	in := bufio.NewReaderSize(io.NewSectionReader(file, 0, size), readSize)
	chunk := make([]byte, h.chunkSize())
	f, alphas := h.fPRF(s), h.alphas(s)
	var acc sum
	var sigma big.Int
	var encoded []byte
	for c := range s.n {
		if c%checkEvery == 0 && ctx.Err() != nil {
			return fmt.Errorf("swizzle: encode chunk %d: %w", c, ctx.Err())
		}
		part := chunk[:min(size-int64(c)*h.chunkSize(), h.chunkSize())]
		if _, err := io.ReadFull(in, part); err != nil {
			return fmt.Errorf("swizzle: read chunk %d of the file: %w", c, unexpected(err))
		}
		acc.add(f.eval(&sigma, c))
		acc.addChunk(alphas, part, h.sectorSize)
		encoded = appendInteger(encoded[:0], acc.mod(&sigma, h.p))
		if _, err := out.Write(encoded); err != nil {
			return fmt.Errorf("swizzle: write the tag: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("swizzle: write the tag: %w", err)
	}
	return nil
}
