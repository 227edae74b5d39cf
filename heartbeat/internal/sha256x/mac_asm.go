//go:build amd64 && !purego

package sha256x

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
)

// laneMAC is a MAC between its turns in a lane.
type laneMAC struct {
	// inner has taken in the key and the message, outer only the key.
	inner, outer [8]uint32
	last         padded // the end of the message, if not a whole block
}

// pads are the inner and the outer one.
var pads = padded(append(bytes.Repeat([]byte{0x36}, BlockSize), bytes.Repeat([]byte{0x5c}, BlockSize)...))

func newMACs(keys [][Size]byte) []MAC {
	if !tuned {
		return newMACsGeneric(keys)
	}
	macs := make([]MAC, len(keys))
	for i := range macs {
		m := &macs[i].lanes
		m.inner, m.outer, m.last = initial, initial, pads
		subtle.XORBytes(m.last[:], m.last[:], keys[i][:])
		subtle.XORBytes(m.last[BlockSize:], m.last[BlockSize:], keys[i][:])
	}
	each(len(macs), func(i int) run { return run{&macs[i].lanes.inner, macs[i].lanes.last[:BlockSize]} })
	each(len(macs), func(i int) run { return run{&macs[i].lanes.outer, macs[i].lanes.last[BlockSize:]} })
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
