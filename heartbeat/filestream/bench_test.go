package filestream_test

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat/filestream"
)

// The benchmark reads chunks at random offsets, as a Swizzle proof does, and also
// reads the whole file once. The speed of counter mode alone is the upper limit.
func BenchmarkReadAt(b *testing.B) {
	const fileSize = 32 << 20
	file := filestream.New(seed, fileSize)
	random := rand.New(rand.NewPCG(1, 2))
	chunk, part := make([]byte, 1280), make([]byte, 64<<10)
	read := func(b *testing.B, p []byte, offset int64) {
		if _, err := file.ReadAt(p, offset); err != nil {
			b.Fatal(err)
		}
	}

	b.Run("size=1280/at=random", func(b *testing.B) {
		b.SetBytes(int64(len(chunk)))
		b.ReportAllocs()
		for b.Loop() {
			read(b, chunk, random.Int64N(fileSize-int64(len(chunk))))
		}
	})
	b.Run("size=65536/at=sequential", func(b *testing.B) {
		b.SetBytes(int64(len(part)))
		offset := 0
		for b.Loop() {
			read(b, part, int64(offset))
			offset = (offset + len(part)) % fileSize
		}
	})

	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	stream := cipher.NewCTR(block, make([]byte, aes.BlockSize))
	for _, p := range [][]byte{chunk, part} {
		b.Run(fmt.Sprintf("size=%d/limit=crypto-aes-ctr", len(p)), func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				stream.XORKeyStream(p, p)
			}
		})
	}
}
