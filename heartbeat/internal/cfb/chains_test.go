package cfb_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat/internal/cfb"
)

// Each chain is a stream of its own: draw after draw, of any size, and however
// many chains there are, they must be what [cfb.Full] makes of the messages.
func TestChainsMatchFull(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 8))
	sizes := []int{1, 2, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 47, 48, 64, 100, 127, 128, 129, 144, 1024}
	counts := []int{0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 50}
	for _, size := range sizes {
		for _, count := range counts {
			testChains(t, random, size, count)
		}
	}
}

func testChains(t *testing.T, random *rand.Rand, size, count int) {
	t.Helper()
	const margin = 70 // nothing may be written beyond the outputs
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
	got := bytes.Clone(want)

	chains := cfb.NewChains(&key)
	for draw := range 12 {
		for _, i := range which {
			message := make([]byte, size)
			copy(message, digests[i][:])
			streams[i].Encrypt(want[int(i)*size:], message)
		}
		if draw == 0 {
			chains.Expand(got, size, digests)
		} else {
			chains.Redraw(got, size, digests, which, draw)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%d chains of %d bytes, draw %d: got\n%x, want\n%x", count, size, draw, got, want)
		}
		// Most chains stop here, and those that go on are in no order.
		random.Shuffle(len(which), func(i, j int) { which[i], which[j] = which[j], which[i] })
		which = which[:len(which)*3/4]
	}
}
