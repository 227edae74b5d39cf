// Package sha256x computes many independent SHA-256 hashes (FIPS 180-4) at the same
// time. Within one message, each step has to wait for the step before it. The
// kernels therefore hash sixteen messages side by side, one in each lane of AVX-512
// vectors.
//
// On processors without AVX-512, and with the build tag purego, the same functions
// hash one message after the other with crypto/sha256. To hash a single message,
// use crypto/sha256 directly, because it is always faster.
//
// The invariant: the kernels and the portable code compute the same digests as
// crypto/sha256.
//
//go:generate go run -C ../../_asm ./sha256x -out ../internal/sha256x/lanes_amd64.s -stubs ../internal/sha256x/lanes_amd64.go -pkg sha256x
package sha256x

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/driveshare/downstream-node/heartbeat/internal/kernel"
)

const (
	// Size is the size of a digest in bytes.
	Size = sha256.Size
	// BlockSize is the size in bytes of the blocks that SHA-256 processes.
	BlockSize = sha256.BlockSize
	// Lanes is the number of messages that the kernels hash side by side.
	Lanes = 16
)

// Kernels holds the kernel that this package computes with.
var Kernels = kernel.Choose(kernel.AVX512)

func tuned() bool { return Kernels.InUse() == kernel.AVX512 }

// SumU32 sets dst[i] to the digest of x[i] as four little-endian bytes. dst must
// be at least as long as x.
func SumU32(dst [][Size]byte, x []uint32) {
	dst = dst[:len(x)]
	if tuned() {
		sumU32s(dst, x)
		return
	}
	var message [4]byte
	for i, n := range x {
		binary.LittleEndian.PutUint32(message[:], n)
		dst[i] = sha256.Sum256(message[:])
	}
}

// Sum sets dst[i] to the digest of messages[i]. dst must be at least as long as
// messages. Only messages of at most 119 bytes are hashed side by side. Such a
// message with its padding has at most two blocks.
func Sum(dst [][Size]byte, messages [][]byte) {
	dst = dst[:len(messages)]
	if tuned() {
		for len(messages) >= fewest {
			n := min(Lanes, len(messages))
			sumLanes(dst[:n], messages[:n])
			dst, messages = dst[n:], messages[n:]
		}
	}
	for i, message := range messages {
		dst[i] = sha256.Sum256(message)
	}
}
