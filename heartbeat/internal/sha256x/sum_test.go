package sha256x_test

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
)

func TestSumU32(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 15, 16, 17, 31, 32, 33, 100} {
		x := make([]uint32, n)
		for i := range x {
			x[i] = random.Uint32()
		}
		copy(x, []uint32{0, 1, 0x80, 1 << 31, 1<<32 - 1})
		dst := make([][sha256x.Size]byte, n+1)
		sha256x.SumU32(dst, x)
		for i, number := range x {
			if want := sha256.Sum256(binary.LittleEndian.AppendUint32(nil, number)); dst[i] != want {
				t.Errorf("%d of %d, %#x: %x, want %x", i, n, number, dst[i], want)
			}
		}
		if dst[n] != [sha256x.Size]byte{} {
			t.Errorf("%d: wrote beyond them", n)
		}
	}
}
