//go:build amd64 && !purego

package sha256x

import "encoding/binary"

// laneMAC is a MAC between its turns in a lane.
type laneMAC struct {
	// inner has taken in the key and the message, outer only the key.
	inner, outer [8]uint32
	last         padded // the end of the message, if not a whole block
}

func newMACs(keys [][Size]byte) []MAC {
	if !tuned {
		return newMACsGeneric(keys)
	}
	macs := make([]MAC, len(keys))
	for i := range macs {
		m := &macs[i].lanes
		m.inner, m.outer = initial, initial
		for k := range m.last {
			m.last[k] = 0x36
			if k >= BlockSize {
				m.last[k] = 0x5c
			}
		}
		for k, b := range keys[i] {
			m.last[k] ^= b
			m.last[BlockSize+k] ^= b
		}
	}
	one := func(i int) *laneMAC { return &macs[i].lanes }
	each(len(macs), func(i int) run { return run{&one(i).inner, one(i).last[:BlockSize]} })
	each(len(macs), func(i int) run { return run{&one(i).outer, one(i).last[BlockSize:]} })
	return macs
}

func interleave(next func(lane int) (*MAC, []byte)) {
	if !tuned {
		interleaveGeneric(next)
		return
	}
	lockstep(func(lane int) run {
		for {
			mac, part := next(lane)
			if mac == nil {
				return run{}
			}
			mac.grow(part)
			end := len(part) &^ (BlockSize - 1)
			copy(mac.lanes.last[:], part[end:])
			if end > 0 {
				return run{&mac.lanes.inner, part[:end]}
			}
		}
	})
}

func sumMACs(dst [][Size]byte, macs []MAC) {
	if !tuned {
		sumMACsGeneric(dst, macs)
		return
	}
	each(len(macs), func(i int) run {
		m := &macs[i].lanes
		blocks := m.last.pad(int(macs[i].size%BlockSize), BlockSize+macs[i].size)
		return run{&m.inner, m.last[:blocks*BlockSize]}
	})
	each(len(macs), func(i int) run {
		m := &macs[i].lanes
		putDigest((*[Size]byte)(m.last[:]), &m.inner)
		m.last.pad(Size, BlockSize+Size)
		return run{&m.outer, m.last[:BlockSize]}
	})
	for i := range macs {
		putDigest(&dst[i], &macs[i].lanes.outer)
	}
}

func putDigest(dst *[Size]byte, state *[8]uint32) {
	for k, word := range state {
		binary.BigEndian.PutUint32(dst[4*k:], word)
	}
}
