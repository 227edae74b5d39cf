package merkle

import (
	"context"
	"fmt"
	"io"

	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
)

// segmentSize is how much of the file each lane holds at a time: all sixteen
// fit into a core's second cache.
const segmentSize = 64 << 10

// sweepAll takes each window's part of the file into its MAC. Each lane goes
// over a strip of the file of its own, and has as many windows there as any
// other, to whose MACs it hands what it holds of the strip, one after the
// other. So nothing is read twice but where windows of two strips overlap.
func sweepAll(ctx context.Context, file io.ReaderAt, chunk int64, windows []window, macs []sha256x.MAC) error {
	if chunk == 0 {
		return nil
	}
	var (
		lanes [sha256x.Lanes]sweep
		err   error
	)
	for i := range lanes {
		from, to := len(windows)*i/len(lanes), len(windows)*(i+1)/len(lanes)
		lanes[i] = sweep{file: file, chunk: chunk, windows: windows[from:to], macs: macs[from:to]}
	}
	sha256x.Interleave(func(lane int) (*sha256x.MAC, []byte) {
		s := &lanes[lane]
		for err == nil {
			if mac, part := s.next(); mac != nil {
				return mac, part
			}
			if err = ctx.Err(); err != nil {
				break
			}
			var more bool
			if more, err = s.advance(); !more {
				break
			}
		}
		return nil, nil
	})
	return err
}

// sweep goes over a strip of the file.
type sweep struct {
	file    io.ReaderAt
	chunk   int64
	windows []window // by position
	macs    []sha256x.MAC

	// held is the file from base on, of which what is before swept has been
	// handed out to all windows, except for less than a block of each.
	held        []byte
	base, swept int64
	// first is the first window of which there is more, at the one to be
	// handed out to next.
	first, at int
}

// next gives what is held of the next window, or nil where all has been handed
// out.
func (s *sweep) next() (*sha256x.MAC, []byte) {
	end := s.base + int64(len(s.held))
	for s.at < len(s.windows) && s.windows[s.at].pos < end {
		i := s.at
		s.at++
		start := s.windows[i].pos
		from := start + wholeBlocks(max(s.swept-start, 0))
		to := start + s.chunk
		if to > end {
			to = from + wholeBlocks(end-from)
		}
		if from < to {
			return &s.macs[i], s.held[from-s.base : to-s.base]
		}
	}
	return nil, nil
}

// wholeBlocks rounds down to whole blocks of the hash.
func wholeBlocks(size int64) int64 { return size / sha256x.BlockSize * sha256x.BlockSize }

// advance reads the next segment, and says whether there is one.
func (s *sweep) advance() (more bool, err error) {
	s.swept = s.base + int64(len(s.held))
	for s.first < len(s.windows) && s.windows[s.first].pos+s.chunk <= s.swept {
		s.first++
	}
	if s.first == len(s.windows) {
		return false, nil
	}
	s.at = s.first

	// The blocks that windows have begun are kept; what no window covers is
	// left out.
	kept := 0
	if start := s.windows[s.first].pos; start >= s.swept {
		s.base, s.swept = start, start
	} else {
		kept = min(len(s.held), sha256x.BlockSize-1)
		copy(s.held, s.held[len(s.held)-kept:])
		s.base = s.swept - int64(kept)
	}
	size := kept + int(min(s.reach(s.swept+segmentSize)-s.swept, segmentSize))
	if size > cap(s.held) {
		s.held = append(make([]byte, 0, size+sha256x.BlockSize), s.held[:kept]...)
	}
	s.held = s.held[:size]
	n, err := s.file.ReadAt(s.held[kept:], s.swept)
	if n == size-kept {
		return true, nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return false, fmt.Errorf("read the file at %d: %w", s.swept, err)
}

// reach gives how far windows go on without a gap, if that is before limit.
func (s *sweep) reach(limit int64) int64 {
	end := s.windows[s.first].pos + s.chunk
	for _, w := range s.windows[s.first+1:] {
		if end >= limit || w.pos > end {
			break
		}
		end = w.pos + s.chunk
	}
	return end
}
