package aes256

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat/internal/kernel"
)

// The key schedule must be the one in FIPS 197, appendix A.3.
func TestKeyScheduleOfFIPS197(t *testing.T) {
	t.Parallel()
	key := [32]byte(unhex(t, "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"))
	for _, k := range Kernels.Available() {
		if k == kernel.Portable {
			continue
		}
		keys := newCipher(k, &key).keys
		if got := hex.EncodeToString(keys[2][:]); got != "9ba354118e6925afa51a8b5f2067fcde" {
			t.Errorf("%s: round key 2 is %s", k, got)
		}
		if got := hex.EncodeToString(keys[14][:]); got != "fe4890d1e6188d0b046df344706c631e" {
			t.Errorf("%s: round key 14 is %s", k, got)
		}
	}
}

func TestKeyStreamEqualsStandardLibrary(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		var key [32]byte
		fill(random, key[:])
		// The test uses offsets of every magnitude, and some offsets whose counters
		// carry over many bytes.
		offset := random.Uint64() >> (random.IntN(56) + 1)
		if random.IntN(4) == 0 {
			offset = 1<<(random.IntN(59)+4) - random.Uint64N(300)
		}
		testKeyStream(t, key, offset, random.IntN(1000))
	}
}

func FuzzKeyStream(f *testing.F) {
	f.Add([]byte("key"), uint64(16), uint16(100))
	f.Add([]byte{}, uint64(1<<63-7), uint16(1<<12+3))
	f.Fuzz(func(t *testing.T, key []byte, offset uint64, size uint16) {
		var padded [32]byte
		copy(padded[:], key)
		testKeyStream(t, padded, offset>>1, int(size%(1<<13)))
	})
}

func testKeyStream(t *testing.T, key [32]byte, offset uint64, size int) {
	t.Helper()
	const margin = 300 // bytes before and after the output, which must not change
	garbage := bytes.Repeat([]byte{0xa5}, size+2*margin)
	want := bytes.Clone(garbage)
	copy(want[margin:], reference(t, key, offset, size))
	for _, k := range Kernels.Available() {
		got := bytes.Clone(garbage)
		c := newCipher(k, &key)
		c.KeyStream(got[margin:][:size], offset)
		if !bytes.Equal(got, want) {
			t.Fatalf("%s, %d bytes at %d: got\n%x, want\n%x", k, size, offset, got, want)
		}
	}
}

// reference computes the stream with the standard library.
func reference(t *testing.T, key [32]byte, offset uint64, size int) []byte {
	t.Helper()
	block, err := aes.NewCipher(key[:])
	if err != nil {
		t.Fatal(err)
	}
	var iv [aes.BlockSize]byte
	binary.BigEndian.PutUint64(iv[8:], offset/aes.BlockSize)
	skip := int(offset % aes.BlockSize)
	stream := make([]byte, skip+size)
	cipher.NewCTR(block, iv[:]).XORKeyStream(stream, stream)
	return stream[skip:]
}

func TestPortableCipherHasTheSameKey(t *testing.T) {
	t.Parallel()
	key := [32]byte{3, 14, 15, 31: 92}
	want := reference(t, key, 16*5, 16)
	for _, k := range Kernels.Available() {
		c := newCipher(k, &key)
		got := make([]byte, aes.BlockSize)
		got[15] = 5
		c.portable().Encrypt(got, got)
		if !bytes.Equal(got, want) {
			t.Errorf("%s: got %x, want %x", k, got, want)
		}
	}
}

func TestKernelsDoNotAllocate(t *testing.T) {
	for _, k := range Kernels.Available() {
		if k == kernel.Portable {
			continue
		}
		c := newCipher(k, new([32]byte))
		dst := make([]byte, 1000)
		if n := testing.AllocsPerRun(10, func() { c.KeyStream(dst, 3) }); n != 0 {
			t.Errorf("%s: %v allocations", k, n)
		}
	}
}

func BenchmarkKeyStream(b *testing.B) {
	for _, size := range []int{1280, 64 << 10} {
		dst := make([]byte, size)
		for _, k := range Kernels.Available() {
			c := newCipher(k, new([32]byte))
			b.Run(fmt.Sprintf("size=%d/kernel=%s", size, k), func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					c.KeyStream(dst, 1<<20)
				}
			})
		}
		block, err := aes.NewCipher(make([]byte, 32))
		if err != nil {
			b.Fatal(err)
		}
		stream := cipher.NewCTR(block, make([]byte, aes.BlockSize))
		b.Run(fmt.Sprintf("size=%d/limit=crypto-aes-ctr", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				stream.XORKeyStream(dst, dst)
			}
		})
	}
}

func fill(random *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(random.Uint32())
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
