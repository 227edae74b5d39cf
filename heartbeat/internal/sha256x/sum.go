package sha256x

import (
	"crypto/sha256"
	"encoding/binary"
)

// Size is the bytes of a digest.
const Size = sha256.Size

// SumU32 sets dst[i] to the digest of the four bytes of x[i], the lowest
// first. dst must be at least as long as x.
func SumU32(dst [][Size]byte, x []uint32) {
	dst = dst[:len(x)]
	sumU32Generic(dst, x)
}

func sumU32Generic(dst [][Size]byte, x []uint32) {
	var message [4]byte
	for i, n := range x {
		binary.LittleEndian.PutUint32(message[:], n)
		dst[i] = sha256.Sum256(message[:])
	}
}
