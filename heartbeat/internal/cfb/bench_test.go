package cfb_test

import (
	"crypto/aes"
	"crypto/cipher"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat/internal/aes256"
	"github.com/driveshare/downstream-node/heartbeat/internal/cfb"
)

// The draws of a proof: 1 % of the chunks of 32 MiB, below a prime of 1024
// bits. Counter mode, which has no chain to follow, is the limit; it encrypts
// one block in eight more than the chains do, which share their first.
const (
	drawSize  = 128
	drawCount = 256
)

func BenchmarkChains(b *testing.B) {
	key := new([32]byte)
	dst := make([]byte, drawSize*drawCount)
	digests := make([][cfb.DigestSize]byte, drawCount)
	which := make([]uint32, drawCount)
	for i := range which {
		which[i] = uint32(i)
	}
	run := func(name string, f func()) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(drawSize * drawCount)
			for b.Loop() {
				f()
			}
		})
	}
	for _, kernel := range aes256.Kernels() {
		chains := cfb.NewChainsWith(kernel, key)
		run("draw=first/kernel="+string(kernel), func() { chains.Expand(dst, drawSize, digests) })
		run("draw=next/kernel="+string(kernel), func() { chains.Redraw(dst, drawSize, digests, which, 1) })
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		b.Fatal(err)
	}
	stream := cipher.NewCTR(block, make([]byte, aes.BlockSize))
	run("limit=crypto-aes-ctr", func() { stream.XORKeyStream(dst, dst) })
}

func BenchmarkNewChains(b *testing.B) {
	key := new([32]byte)
	for _, kernel := range aes256.Kernels() {
		b.Run("kernel="+string(kernel), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				cfb.NewChainsWith(kernel, key)
			}
		})
	}
}
