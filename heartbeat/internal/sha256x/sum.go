package sha256x

import (
	"crypto/sha256"
	"encoding/binary"
)

const (
	// Size is the bytes of a digest.
	Size = sha256.Size
	// BlockSize is the bytes that SHA-256 takes in at a time.
	BlockSize = sha256.BlockSize
	// Lanes is how many messages the kernels work on at a time.
	Lanes = 16
)

// SumU32 sets dst[i] to the digest of the four bytes of x[i], the lowest
// first. dst must be at least as long as x.
func SumU32(dst [][Size]byte, x []uint32) { sumU32s(dst[:len(x)], x) }

// Sum sets dst[i] to the digest of messages[i]. dst must be at least as long
// as messages. It gains where the messages are of at most 119 bytes, which
// with their padding make two blocks.
func Sum(dst [][Size]byte, messages [][]byte) { sums(dst[:len(messages)], messages) }

func sumU32sGeneric(dst [][Size]byte, x []uint32) {
	var message [4]byte
	for i, n := range x {
		binary.LittleEndian.PutUint32(message[:], n)
		dst[i] = sha256.Sum256(message[:])
	}
}

func sumsGeneric(dst [][Size]byte, messages [][]byte) {
	for i, message := range messages {
		dst[i] = sha256.Sum256(message)
	}
}
