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
	partSize = 80 << 10
	// maxParts is how many parts there are at a time. They are handed to
	// taggers when there are handParts to hand out, since to wake one takes as
	// long as to write a tenth of a part; the others keep them busy till then.
	maxParts  = 16
	handParts = 10
	// maxTaggers is how many taggers can be kept so. More would only wait for
	// the one that hashes the file.
	maxTaggers = 3
)

// encoding is a file on its way to its tag. It is cut into parts of some
// chunks, which taggers work on side by side and which are written in order.
type encoding struct {
	*Heartbeat
	state   fileState
	file    io.ReaderAt
	size    int64
	perPart int64 // chunks
	parts   int64
}

// part is some chunks of a file.
type part struct {
	first, count uint32 // chunks
	size         int64  // of the data
	*memory             // lent by the tagger that has it first
	done         chan error
}

// memory is what a part takes up.
type memory struct {
	data []byte // of the file
	tag  []byte // the sigmas, as a tag has them
}

// memories are those of encodings that have ended: files are encoded one after
// the other, and new memory takes longer to get than to hash.
var memories = sync.Pool{New: func() any { return new(memory) }}

func (h *Heartbeat) newEncoding(file io.ReaderAt, size int64, s fileState) *encoding {
	n := int64(s.n)
	perPart := min(max(partSize/h.chunkSize(), 1), batch, n)
	return &encoding{
		Heartbeat: h, state: s, file: file, size: size,
		perPart: perPart, parts: (n-1)/perPart + 1,
	}
}

// taggers is how many there should be, beside a caller that writes. Where it
// hashes what it writes, that takes a processor.
func (e *encoding) taggers(hashing bool) int {
	free := runtime.GOMAXPROCS(0)
	if hashing {
		free--
	}
	return int(min(int64(max(free, 1)), maxTaggers, e.parts))
}

// run has the parts worked on by taggers, and writes them in order.
func (e *encoding) run(ctx context.Context, taggers int, write func(*part) error) error {
	held := make([]part, min(maxParts, e.parts))
	defer giveBack(held) // when no tagger runs
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
	handed := int64(0)
	for written := range e.parts {
		if free := int64(len(held)) - (handed - written); free >= handParts || handed == 0 {
			for ; handed < min(written+int64(len(held)), e.parts); handed++ {
				e.set(at(handed), handed)
				work <- at(handed)
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

func giveBack(parts []part) {
	for i := range parts {
		if m := parts[i].memory; m != nil {
			memories.Put(m)
		}
	}
}

// set makes p the given one of the parts.
func (e *encoding) set(p *part, index int64) {
	first := index * e.perPart
	count := min(e.perPart, int64(e.state.n)-first)
	p.first, p.count = uint32(first), uint32(count)
	p.size = min(count*e.chunkSize(), e.size-first*e.chunkSize())
	if p.done == nil {
		p.done = make(chan error, 1)
	}
}
