package sha256x

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"hash"
)

// MAC is an HMAC-SHA256 (RFC 2104) of a message that arrives in parts.
type MAC struct {
	size     uint64    // number of message bytes so far
	portable hash.Hash // nil if the MAC runs on lanes

	// These fields are used only if the MAC runs on lanes. inner is the state after
	// the key and the whole blocks of the message so far. outer is the state after
	// the key alone. last holds the end of the message that does not fill a block.
	inner, outer [8]uint32
	last         padded
}

// pads holds the inner padding and the outer padding of HMAC.
var pads = padded(append(bytes.Repeat([]byte{0x36}, BlockSize), bytes.Repeat([]byte{0x5c}, BlockSize)...))

// NewMACs returns one MAC for each key.
func NewMACs(keys [][Size]byte) []MAC {
	macs := make([]MAC, len(keys))
	if !tuned() {
		for i := range keys {
			macs[i].portable = hmac.New(sha256.New, keys[i][:])
		}
		return macs
	}
	for i := range macs {
		m := &macs[i]
		m.inner, m.outer, m.last = initial, initial, pads
		subtle.XORBytes(m.last[:], m.last[:], keys[i][:])
		subtle.XORBytes(m.last[BlockSize:], m.last[BlockSize:], keys[i][:])
	}
	hashRuns(len(macs), func(i int) run { return run{&macs[i].inner, macs[i].last[:BlockSize]} })
	hashRuns(len(macs), func(i int) run { return run{&macs[i].outer, macs[i].last[BlockSize:]} })
	return macs
}

// Interleave adds parts of messages to MACs, side by side on the lanes. next
// returns the next part for a lane and the MAC that gets this part. It returns a
// nil MAC if the lane has no more parts. When Interleave calls next again for a
// lane, the lane's last part has been added, and the memory of the part may be
// reused. Every part of a message must consist of whole blocks, except for the last
// part. Interleave is fastest if all lanes get the same number of bytes.
func Interleave(next func(lane int) (*MAC, []byte)) {
	if !tuned() {
		for lane := range Lanes {
			for mac, part := next(lane); mac != nil; mac, part = next(lane) {
				mac.grow(part)
				mac.portable.Write(part)
			}
		}
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
			copy(mac.last[:], part[end:])
			if end > 0 {
				return run{&mac.inner, part[:end]}
			}
		}
	})
}

func (m *MAC) grow(part []byte) {
	if m.size%BlockSize != 0 {
		panic(fmt.Sprintf("sha256x: a part follows byte %d of the message, which does not end a block", m.size))
	}
	m.size += uint64(len(part))
}

// SumMACs sets dst[i] to the sum of macs[i]. The caller may add nothing to the MACs
// afterwards. dst must be at least as long as macs.
func SumMACs(dst [][Size]byte, macs []MAC) {
	dst = dst[:len(macs)]
	if !tuned() {
		for i := range macs {
			macs[i].portable.Sum(dst[i][:0])
		}
		return
	}
	hashRuns(len(macs), func(i int) run {
		m := &macs[i]
		blocks := m.last.pad(int(m.size%BlockSize), BlockSize+m.size)
		return run{&m.inner, m.last[:blocks*BlockSize]}
	})
	hashRuns(len(macs), func(i int) run {
		m := &macs[i]
		putDigest((*[Size]byte)(m.last[:]), &m.inner)
		m.last.pad(Size, BlockSize+Size)
		return run{&m.outer, m.last[:BlockSize]}
	})
	for i := range macs {
		putDigest(&dst[i], &macs[i].outer)
	}
}

func putDigest(dst *[Size]byte, state *[8]uint32) {
	for k, word := range state {
		binary.BigEndian.PutUint32(dst[4*k:], word)
	}
}
