package merkle

import (
	"context"
	"io"

	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
)

// segmentSize is the number of bytes that a lane reads and holds at a time. The
// segments of all sixteen lanes fit into a core's L2 cache.
const segmentSize = 64 << 10

// sweepAll adds each window's part of the file to the window's MAC. Each lane gets
// the same number of consecutive windows. The lane reads the strip of the file that
// its windows cover, segment by segment. It adds a segment to the MACs of all its
// windows before it reads the next segment. So a byte of the file is read twice
// only if windows of two lanes contain the byte.
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

// sweep reads one lane's strip of the file.
type sweep struct {
	file    io.ReaderAt
	chunk   int64
	windows []window // sorted by position
	macs    []sha256x.MAC

	// held is the part of the file that starts at base. The bytes before swept have
	// been added to all windows that cover them, except for one incomplete block
	// per window.
	held        []byte
	base, swept int64
	// first is the index of the first window that is not complete. at is the index
	// of the next window that gets held bytes.
	first, at int
}

// next returns the MAC of the next window, and the held bytes to add to this MAC.
// It returns nil if all windows already have the held bytes.
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

// wholeBlocks rounds size down to whole blocks of the hash.
func wholeBlocks(size int64) int64 { return size / sha256x.BlockSize * sha256x.BlockSize }

// advance reads the next segment. It returns false if there is no next segment.
func (s *sweep) advance() (more bool, err error) {
	s.swept = s.base + int64(len(s.held))
	for s.first < len(s.windows) && s.windows[s.first].pos+s.chunk <= s.swept {
		s.first++
	}
	if s.first == len(s.windows) {
		return false, nil
	}
	s.at = s.first

	// Keep the incomplete blocks of windows, and skip bytes that no window covers.
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
	err = readAt(s.file, s.held[kept:], s.swept)
	return err == nil, err
}

// reach returns the end of a series of windows that has no gap. It does not search
// beyond limit.
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
