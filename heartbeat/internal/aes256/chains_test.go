package aes256

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"math/rand/v2"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat/internal/kernel"
)

// For all sizes and numbers of chains, every draw of every chain must equal the
// output of one CFB stream per chain.
func TestChainsEqualCFB(t *testing.T) {
	t.Parallel()
	sizes := []int{1, 2, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 47, 48, 64, 100, 127, 128, 129, 144, 1024}
	counts := []int{0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 50}
	for _, size := range sizes {
		for _, count := range counts {
			testChains(t, uint64(size), size, count, 12)
		}
	}
}

func FuzzChains(f *testing.F) {
	f.Add(uint64(1), uint16(128), uint8(17))
	f.Add(uint64(2), uint16(127), uint8(9))
	f.Add(uint64(3), uint16(16), uint8(100))
	f.Add(uint64(4), uint16(4), uint8(3))
	f.Fuzz(func(t *testing.T, seed uint64, size uint16, count uint8) {
		testChains(t, seed, 1+int(size%1024), int(count), 4)
	})
}

func testChains(t *testing.T, seed uint64, size, count, draws int) {
	t.Helper()
	const margin = 70 // bytes after the outputs, which must not change
	random := rand.New(rand.NewPCG(seed, 8))
	var key [32]byte
	fill(random, key[:])
	digests := make([][DigestSize]byte, count)
	streams := make([]cipher.Stream, count)
	which := make([]uint32, count)
	for i := range digests {
		fill(random, digests[i][:])
		streams[i] = EncryptCFB(newBlock(key[:]), [16]byte{})
		which[i] = uint32(i)
	}
	want := make([]byte, size*count+margin)
	fill(random, want)
	got := make(map[kernel.Kernel][]byte)
	for _, k := range Kernels.Available() {
		got[k] = bytes.Clone(want)
	}

	message := make([]byte, size)
	for draw := range draws {
		for _, i := range which {
			copy(message, digests[i][:])
			streams[i].XORKeyStream(want[int(i)*size:], message)
		}
		for k, dst := range got {
			chains := newChains(newCipher(k, &key))
			if draw == 0 {
				chains.Expand(dst, size, digests)
			} else {
				chains.Redraw(dst, size, digests, which, draw)
			}
			if !bytes.Equal(dst, want) {
				t.Fatalf("%s, %d chains of %d bytes, draw %d: got\n%x, want\n%x", k, count, size, draw, dst, want)
			}
		}
		// Most chains end here. The others continue in random order.
		random.Shuffle(len(which), func(i, j int) { which[i], which[j] = which[j], which[i] })
		which = which[:len(which)*3/4]
	}
}

func TestChainsDoNotAllocate(t *testing.T) {
	const size, count = 128, 21
	digests := make([][DigestSize]byte, count)
	dst := make([]byte, size*count)
	which := []uint32{3, 1, 20}
	for _, k := range Kernels.Available() {
		chains := newChains(newCipher(k, new([32]byte)))
		if n := testing.AllocsPerRun(10, func() {
			chains.Expand(dst, size, digests)
			chains.Redraw(dst, size, digests, which, 1)
			chains.Expand(dst, 4, digests)
		}); n != 0 {
			t.Errorf("%s: %v allocations", k, n)
		}
	}
}

// The benchmark makes the draws of one proof. The proof covers 1 % of the chunks of
// a file of 32 MiB, and the draws are below a prime of 1024 bits. Counter mode is
// the upper limit, because its blocks do not depend on each other. Counter mode
// encrypts an eighth more blocks than the chains, because all chains share their
// first block.
const (
	drawSize  = 128
	drawCount = 256
)

func BenchmarkChains(b *testing.B) {
	key := new([32]byte)
	dst := make([]byte, drawSize*drawCount)
	digests := make([][DigestSize]byte, drawCount)
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
	for _, k := range Kernels.Available() {
		chains := newChains(newCipher(k, key))
		run("draw=first/kernel="+k.String(), func() { chains.Expand(dst, drawSize, digests) })
		run("draw=next/kernel="+k.String(), func() { chains.Redraw(dst, drawSize, digests, which, 1) })
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
	for _, k := range Kernels.Available() {
		b.Run("kernel="+k.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				newChains(newCipher(k, key))
			}
		})
	}
}
