package yardstick

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"math/big"
	"testing"
)

// BenchmarkBigMul1024 multiplies two 1024-bit numbers, without a reduction.
func BenchmarkBigMul1024(b *testing.B) {
	limit := new(big.Int).Lsh(big.NewInt(1), 1024)
	x, err := rand.Int(rand.Reader, limit)
	if err != nil {
		b.Fatal(err)
	}
	y, err := rand.Int(rand.Reader, limit)
	if err != nil {
		b.Fatal(err)
	}
	product := new(big.Int)
	for b.Loop() {
		product.Mul(x, y)
	}
}

// block is long enough for the rate to be that of a long text.
const block = 1 << 20

// BenchmarkSHA256 hashes in one lane.
func BenchmarkSHA256(b *testing.B) {
	text := make([]byte, block)
	b.SetBytes(block)
	for b.Loop() {
		sha256.Sum256(text)
	}
}

// BenchmarkAES256CTR is the rate that a file's stream could have.
func BenchmarkAES256CTR(b *testing.B) {
	key, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	text := make([]byte, block)
	stream := cipher.NewCTR(key, make([]byte, aes.BlockSize))
	b.SetBytes(block)
	for b.Loop() {
		stream.XORKeyStream(text, text)
	}
}
