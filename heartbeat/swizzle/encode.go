package swizzle

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"math"
	"math/big"
	"runtime"
	"slices"
	"sync"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
	"github.com/driveshare/downstream-node/heartbeat/internal/wide"
)

const (
	// partSize is the maximum number of bytes in a part. A part of this size stays
	// in a core's cache from the read to the write.
	partSize = 80 << 10
	// maxParts is the number of parts in memory. When queueParts parts are free,
	// run queues these parts. run does not wake taggers for every part, because it
	// takes as long to wake a tagger as to write a tenth of a part. Before run
	// queues new parts, the earlier parts keep the taggers busy.
	maxParts   = 16
	queueParts = 10
	// maxTaggers is the maximum number of taggers. With more taggers, some would
	// wait for the goroutine that hashes the file.
	maxTaggers = 3
)

// Encode implements heartbeat.Heartbeat. It reads the whole file once, on several
// cores, and writes the tag during the read. With the primes and sectors of New,
// the tag is a tenth of the size of the file. Encode ignores all options except for
// Content. If file has fewer than size bytes, Encode returns io.ErrUnexpectedEOF.
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

// checkSize returns the number of chunks of a file of size bytes. It returns an
// error if the number does not fit into a u32.
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

// writeTag writes sigma_c = f(c) + sum_j alpha_j * m_{c,j} mod p to tag, for each
// chunk c of the file. It also writes the file to content, unless content is nil.
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

// encoding divides a file into parts of a few chunks. Several taggers work on
// parts at the same time, and the caller writes them in order.
type encoding struct {
	*Heartbeat
	state   fileState
	file    io.ReaderAt
	size    int64
	perPart int64 // chunks per part
	parts   int64
}

// part is a few consecutive chunks of a file.
type part struct {
	first, count uint32 // index of the first chunk, and number of chunks
	size         int64  // number of bytes in the part
	*memory             // set by the tagger that first gets the part
	done         chan error
}

// memory holds the content of a part.
type memory struct {
	data []byte // content of the file
	tag  []byte // the sigmas in the binary form of a tag
}

// memories holds the memory of earlier encodings. A node encodes one file after
// another, and it takes longer to allocate the memory than to hash the file.
var memories = sync.Pool{New: func() any { return new(memory) }}

func (h *Heartbeat) newEncoding(file io.ReaderAt, size int64, s fileState) *encoding {
	n := int64(s.n)
	perPart := min(max(partSize/h.chunkSize(), 1), batch, n)
	return &encoding{
		Heartbeat: h, state: s, file: file, size: size,
		perPart: perPart, parts: (n-1)/perPart + 1,
	}
}

// taggers returns how many taggers should run in addition to the caller. If the
// caller hashes the file, hashing needs a second core.
func (e *encoding) taggers(hashing bool) int {
	free := runtime.GOMAXPROCS(0)
	if hashing {
		free--
	}
	return int(min(int64(max(free, 1)), maxTaggers, e.parts))
}

// run starts the taggers, and calls write with each part in order.
func (e *encoding) run(ctx context.Context, taggers int, write func(*part) error) error {
	held := make([]part, min(maxParts, e.parts))
	defer releaseMemory(held) // runs after the taggers have ended
	ctx, cancel := context.WithCancel(ctx)
	work := make(chan *part, maxParts)
	var running sync.WaitGroup
	defer running.Wait()
	defer close(work)
	defer cancel()
	for range taggers {
		running.Go(func() {
			t := e.newTagger()
			for p := range work {
				p.done <- t.work(ctx, p)
			}
		})
	}
	at := func(i int64) *part { return &held[i%int64(len(held))] }
	queued := int64(0)
	for written := range e.parts {
		if free := int64(len(held)) - (queued - written); free >= queueParts || queued == 0 {
			for ; queued < min(written+int64(len(held)), e.parts); queued++ {
				e.set(at(queued), queued)
				work <- at(queued)
			}
		}
		p := at(written)
		if err := <-p.done; err != nil {
			return err
		}
		if err := write(p); err != nil {
			return err
		}
	}
	return nil
}

func releaseMemory(parts []part) {
	for i := range parts {
		if m := parts[i].memory; m != nil {
			memories.Put(m)
		}
	}
}

// set sets p to the part that has this index.
func (e *encoding) set(p *part, index int64) {
	first := index * e.perPart
	count := min(e.perPart, int64(e.state.n)-first)
	p.first, p.count = uint32(first), uint32(count)
	p.size = min(count*e.chunkSize(), e.size-first*e.chunkSize())
	if p.done == nil {
		p.done = make(chan error, 1)
	}
}

// tagger computes parts of a tag. It is not safe for concurrent use.
type tagger struct {
	*encoding
	f       prf
	dot     *wide.Dot
	digests [batch][sha256x.Size]byte
	sigmas  []byte
	last    []byte // the last chunk of the file, in aligned form
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

// work reads a part and computes the part's tag.
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
