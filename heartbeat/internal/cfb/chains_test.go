package cfb_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat/internal/aes256"
	"github.com/driveshare/downstream-node/heartbeat/internal/cfb"
)

// Each chain is a stream of its own: draw after draw, of any size, and however
// many chains there are, they must be what [cfb.Full] makes of the messages.
func TestChainsMatchFull(t *testing.T) {
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
	const margin = 70 // nothing may be written beyond the outputs
	random := rand.New(rand.NewPCG(seed, 8))
	var key [32]byte
	fill(random, key[:])
	digests := make([][cfb.DigestSize]byte, count)
	streams := make([]*cfb.Full, count)
	which := make([]uint32, count)
	for i := range digests {
		fill(random, digests[i][:])
		streams[i] = cfb.NewFull(newBlock(t, hexOf(key)), [16]byte{})
		which[i] = uint32(i)
	}
	want := make([]byte, size*count+margin)
	fill(random, want)
	got := make(map[aes256.Kernel][]byte)
	for _, kernel := range aes256.Kernels() {
		got[kernel] = bytes.Clone(want)
	}

	message := make([]byte, size)
	for draw := range draws {
		for _, i := range which {
			copy(message, digests[i][:])
			streams[i].Encrypt(want[int(i)*size:], message)
		}
		for kernel, dst := range got {
			chains := cfb.NewChainsWith(kernel, &key)
			if draw == 0 {
				chains.Expand(dst, size, digests)
			} else {
				chains.Redraw(dst, size, digests, which, draw)
			}
			if !bytes.Equal(dst, want) {
				t.Fatalf("%s, %d chains of %d bytes, draw %d: got\n%x, want\n%x", kernel, count, size, draw, dst, want)
			}
		}
		// Most chains stop here, and those that go on are in no order.
		random.Shuffle(len(which), func(i, j int) { which[i], which[j] = which[j], which[i] })
		which = which[:len(which)*3/4]
	}
}

func TestChainsDoNotAllocate(t *testing.T) {
	const size, count = 128, 21
	digests := make([][cfb.DigestSize]byte, count)
	dst := make([]byte, size*count)
	which := []uint32{3, 1, 20}
	for _, kernel := range aes256.Kernels() {
		chains := cfb.NewChainsWith(kernel, new([32]byte))
		if n := testing.AllocsPerRun(10, func() {
			chains.Expand(dst, size, digests)
			chains.Redraw(dst, size, digests, which, 1)
			chains.Expand(dst, 4, digests)
		}); n != 0 {
			t.Errorf("%s: %v allocations", kernel, n)
		}
	}
}
