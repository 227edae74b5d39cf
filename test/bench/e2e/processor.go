package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"time"

	"github.com/driveshare/downstream-node/test/bench/report"
)

// measureMachine is what one core does with the two primitives that every
// proof is made of, as Go's own library has them.
func measureMachine(b *bench) []report.Figure {
	buf := make([]byte, 1<<20)
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	stream := cipher.NewCTR(block, make([]byte, aes.BlockSize))
	return []report.Figure{
		b.speed("SHA-256, one lane", len(buf), func() { sha256.Sum256(buf) }),
		b.speed("AES-256-CTR", len(buf), func() { stream.XORKeyStream(buf, buf) }),
	}
}

// speed is how many megabytes a second work gets through, size a call.
func (b *bench) speed(name string, size int, work func()) report.Figure {
	const once = time.Second
	return report.New(name, "MB/s", b.repeat(name, func() float64 {
		bytes := 0
		start := time.Now()
		for time.Since(start) < once {
			work()
			bytes += size
		}
		return float64(bytes) / 1e6 / time.Since(start).Seconds()
	})...)
}
