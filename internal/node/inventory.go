package node

import "fmt"

// Inventory describes the chunks that should wait for farmers. Their sizes are the
// powers of Base from MinSize to MaxSize. There are about as many chunks of one
// size as of any other size. All chunks together have at most TotalSize bytes.
type Inventory struct {
	MinSize, MaxSize, TotalSize int64 // bytes
	Base                        int64
	Redundancy                  int64 // how many farmers should hold each file
}

// Sizes returns the powers of Base from MinSize to MaxSize, in ascending order.
func (v Inventory) Sizes() ([]int64, error) {
	if v.Base < 2 {
		return nil, fmt.Errorf("base %d: must be at least 2", v.Base)
	}
	if v.MinSize < 1 || v.MaxSize < v.MinSize {
		return nil, fmt.Errorf("sizes from %d to %d: must be at least 1 and ascending", v.MinSize, v.MaxSize)
	}
	var sizes []int64
	for size := int64(1); size <= v.MaxSize; size *= v.Base {
		if size >= v.MinSize {
			sizes = append(sizes, size)
		}
		if size > v.MaxSize/v.Base {
			break // the next power exceeds MaxSize or int64
		}
	}
	if len(sizes) == 0 {
		return nil, fmt.Errorf("no power of %d lies between %d and %d", v.Base, v.MinSize, v.MaxSize)
	}
	return sizes, nil
}

// Missing returns the size of the chunk to make next: the size with the fewest
// chunks. If several sizes have the fewest chunks, it returns the smallest. have
// holds the number of chunks of each size that wait or are being made. Only sizes for
// which may returns true count; nil means all. ok is false if the inventory is full. With the
// new chunk, the inventory never exceeds TotalSize.
func (v Inventory) Missing(have map[int64]int64, may func(size int64) bool) (size int64, ok bool, err error) {
	sizes, err := v.Sizes()
	if err != nil {
		return 0, false, err
	}
	var round int64 // total bytes of one chunk of every size
	for _, s := range sizes {
		round += s
	}
	bytes := Bytes(have)
	each := max(v.TotalSize/round, 1)
	for _, s := range sizes {
		if have[s] >= each || s > v.TotalSize-bytes || may != nil && !may(s) {
			continue
		}
		if !ok || have[s] < have[size] {
			size, ok = s, true
		}
	}
	return size, ok, nil
}

// Bytes returns the size of all chunks, given the number of chunks of each size.
func Bytes(chunks map[int64]int64) (bytes int64) {
	for size, n := range chunks {
		bytes += size * n
	}
	return bytes
}
