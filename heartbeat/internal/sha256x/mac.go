package sha256x

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"hash"
)

// MAC is one HMAC-SHA256 (RFC 2104) under way.
type MAC struct {
	size    uint64    // bytes of the message so far
	generic hash.Hash // where the kernels are not used
	lanes   laneMAC   // where they are
}

// NewMACs starts one MAC for each of the keys.
func NewMACs(keys [][Size]byte) []MAC { return newMACs(keys) }

// Interleave takes parts of messages into MACs, which advance side by side in
// the lanes. next hands out what a lane takes in next, and a nil MAC when there
// is nothing more for that lane; it is called again once all of that part has
// been taken in, so the memory can be used for another. Every part of a message
// but the last must be a whole number of blocks. The lanes are balanced best
// by handing out to each as many bytes as to any other.
func Interleave(next func(lane int) (*MAC, []byte)) { interleave(next) }

// SumMACs sets dst[i] to what macs[i] has come to, after which that takes in no
// more. dst must be at least as long as macs.
func SumMACs(dst [][Size]byte, macs []MAC) { sumMACs(dst[:len(macs)], macs) }

func (m *MAC) grow(part []byte) {
	if m.size%BlockSize != 0 {
		panic(fmt.Sprintf("sha256x: more of a message after a part that ended in a block, at %d", m.size))
	}
	m.size += uint64(len(part))
}

func newMACsGeneric(keys [][Size]byte) []MAC {
	macs := make([]MAC, len(keys))
	for i := range keys {
		macs[i].generic = hmac.New(sha256.New, keys[i][:])
	}
	return macs
}

func interleaveGeneric(next func(lane int) (*MAC, []byte)) {
	for lane := range Lanes {
		for mac, part := next(lane); mac != nil; mac, part = next(lane) {
			mac.grow(part)
			mac.generic.Write(part)
		}
	}
}

func sumMACsGeneric(dst [][Size]byte, macs []MAC) {
	for i := range macs {
		macs[i].generic.Sum(dst[i][:0])
	}
}
