package swizzle

import (
	"crypto/aes"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat/internal/aes256"
	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
)

// naivePRF computes PRF(key, limit)(i) by its definition in PROTOCOL.md, section 5.
func naivePRF(key [keySize]byte, limit *big.Int, i uint32) *big.Int {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err)
	}
	stream := aes256.EncryptCFB(block, [aes.BlockSize]byte{})
	size := (limit.BitLen() + 7) / 8
	digest := sha256.Sum256(binary.LittleEndian.AppendUint32(nil, i))
	for {
		buffer := make([]byte, size)
		copy(buffer, digest[:])
		stream.XORKeyStream(buffer, buffer)
		n := new(big.Int).SetBytes(buffer)
		n.And(n, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(limit.BitLen())), big.NewInt(1)))
		if n.Cmp(limit) < 0 {
			return n
		}
	}
}

// The limits have all lengths in bytes. If a limit is just above a power of two,
// half of the draws fail. If it is just below, nearly no draw fails.
func TestPRFEqualsDefinition(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var f prf // set must replace the previous function
	for _, bits := range []uint{1, 2, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 63, 127, 128, 129, 136, 255, 256, 257, 1000, 1016, 1017, 1023, 1024} {
		power := new(big.Int).Lsh(big.NewInt(1), bits-1)
		for _, limit := range []*big.Int{power, new(big.Int).Add(power, big.NewInt(1)), new(big.Int).Sub(new(big.Int).Lsh(power, 1), big.NewInt(1))} {
			var key [keySize]byte
			binary.LittleEndian.PutUint64(key[:], random.Uint64())
			f.set(&key, limit)
			x := make([]uint32, random.IntN(batch+1))
			for i := range x {
				x[i] = random.Uint32() >> random.IntN(32)
			}
			digests := make([][sha256x.Size]byte, len(x))
			sha256x.SumU32(digests, x)
			got := make([]byte, len(x)*f.size())
			f.draw(got, digests)
			for i := range x {
				if got, want := new(big.Int).SetBytes(f.at(got, i)), naivePRF(key, limit, x[i]); got.Cmp(want) != 0 {
					t.Fatalf("limit %x, %d: %x, want %x", limit, x[i], got, want)
				}
			}
		}
	}
}

// The ranges lie before, across and after the end of the table of digests.
func TestDigestsFromEqualsSHA256(t *testing.T) {
	t.Parallel()
	end := uint32(len(firstDigests()))
	var buffer [batch][sha256x.Size]byte
	for _, first := range []uint32{0, 1, end - batch - 1, end - batch, end - batch + 1, end - 1, end, end + 1, 1<<32 - batch} {
		for _, count := range []int{0, 1, batch} {
			for i, got := range digestsFrom(first, buffer[:count]) {
				want := sha256.Sum256(binary.LittleEndian.AppendUint32(nil, first+uint32(i)))
				if got != want {
					t.Errorf("%d of %d: %x, want %x", i, first, got, want)
				}
			}
		}
	}
}

// If a challenge covers all chunks, their positions are in order. Otherwise a PRF
// draws them.
func TestChosenEqualsDefinition(t *testing.T) {
	t.Parallel()
	limit := big.NewInt(0xfedcba98765)
	for _, n := range []uint32{1, 2, 5, 63, 64, 65, 200, 257, 70000, 1 << 24, 1<<32 - 1} {
		for _, l := range []uint32{1, 63, 64, 65, 200} {
			c := fileChallenge{l: l, key: [keySize]byte{byte(n), byte(l)}, limit: limit}
			i := uint32(0)
			for indices, v := range c.chosen(n, new(scratch)) {
				if len(v) != len(indices)*6 {
					t.Fatalf("%d bytes of coefficients for %d chunks", len(v), len(indices))
				}
				for k, index := range indices {
					want := i
					if l < n {
						want = uint32(naivePRF(c.key, new(big.Int).SetUint64(uint64(n)), i).Uint64())
					}
					if index != want {
						t.Errorf("%d of %d: position %d is %d, want %d", l, n, i, index, want)
					}
					if got, want := new(big.Int).SetBytes(v[k*6:][:6]), naivePRF(c.key, limit, i); got.Cmp(want) != 0 {
						t.Errorf("%d of %d: coefficient %d is %d, want %d", l, n, i, got, want)
					}
					i++
				}
			}
			if i != min(l, n) {
				t.Errorf("%d of %d: %d chunks were chosen", l, n, i)
			}
		}
	}
}
