package swizzle

import (
	"context"
	"io"
	"runtime"
	"sync"
)

const (
	// partSize bounds the bytes of a part: few enough to stay in a processor's
	// cache from where they are read to where they are written.
	partSize = 128 << 10
	// maxTaggers bounds the memory of an encoding. More would only wait for
	// the one that hashes the file.
	maxTaggers = 4
)

// encoding is a file on its way to its tag. It is cut into parts of some
// chunks, which taggers work on side by side and which are written in order.
type encoding struct {
	*Heartbeat
	state   fileState
	alphas  []byte
	file    io.ReaderAt
	size    int64
	perPart uint32 // chunks
}

// part is some chunks of a file.
type part struct {
	first, count uint32 // chunks
	data         []byte // of the file, count chunks at most
	tag          []byte // the sigmas, as a tag has them
	done         chan error
}

func (h *Heartbeat) newEncoding(file io.ReaderAt, size int64, s fileState) *encoding {
	return &encoding{
		Heartbeat: h, state: s, alphas: h.alphas(s), file: file, size: size,
		perPart: uint32(min(max(partSize/h.chunkSize(), 1), batch, int64(s.n))),
	}
}

// taggers is how many there should be, beside a caller that writes. Where it
// hashes what it writes, that takes a processor.
func (e *encoding) taggers(hashing bool) int {
	free := runtime.GOMAXPROCS(0)
	if hashing {
		free--
	}
	parts := (int64(e.state.n)-1)/int64(e.perPart) + 1
	return int(min(int64(max(free, 1)), maxTaggers, parts))
}

// run has the parts worked on, and writes them in order. There are two more at
// a time than taggers, so that these need not wait for what is written.
func (e *encoding) run(ctx context.Context, taggers int, write func(*part) error) error {
	ctx, cancel := context.WithCancel(ctx)
	parts := make([]*part, taggers+2)
	work := make(chan *part, len(parts))
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
	next := uint32(0)
	for i := range parts {
		parts[i] = e.newPart()
		next = e.hand(parts[i], next, work)
	}
	for i := 0; ; i++ {
		p := parts[i%len(parts)]
		if err := <-p.done; err != nil {
			return err
		}
		if err := write(p); err != nil {
			return err
		}
		if p.first+p.count == e.state.n {
			return nil
		}
		next = e.hand(p, next, work)
	}
}

func (e *encoding) newPart() *part {
	return &part{
		data: make([]byte, int64(e.perPart)*e.chunkSize()),
		done: make(chan error, 1),
	}
}

// hand makes p the part from chunk next on, if there is one, and gives the
// chunk after it.
func (e *encoding) hand(p *part, next uint32, work chan<- *part) uint32 {
	p.first, p.count = next, min(e.perPart, e.state.n-next)
	if p.count == 0 {
		return next
	}
	offset := int64(p.first) * e.chunkSize()
	p.data = p.data[:min(int64(p.count)*e.chunkSize(), e.size-offset)]
	work <- p
	return next + p.count
}
