package wide

import (
	"crypto/rand"
	"math/big"
	"testing"
)

// The 26215 chunks of a file of 32 MiB, and the 262 that 1% of it is, have 10
// sectors each. ns/block is the time of one of them.

func BenchmarkBigMul1024(b *testing.B) {
	x, y := number(randomNumbers(1)), number(randomNumbers(1))
	var z big.Int
	for b.Loop() {
		z.Mul(x, y)
	}
	perBlock(b, 1)
}

func BenchmarkSums(b *testing.B) {
	for _, kernel := range Kernels() {
		b.Run("kernel="+kernel, func(b *testing.B) {
			defer Use(kernel)()
			const rows = 64
			v, f := randomNumbers(rows), randomNumbers(rows)
			sums := NewSums(1, numberSize, numberSize)
			for b.Loop() {
				sums.Add(v, f)
			}
			perBlock(b, rows)
		})
	}
}

func BenchmarkDot(b *testing.B) {
	for _, kernel := range Kernels() {
		b.Run("kernel="+kernel, func(b *testing.B) {
			defer Use(kernel)()
			const rows, sectors = 64, 10
			p := new(big.Int).SetBit(number(randomNumbers(1)), 1023, 1)
			p.SetBit(p, 0, 1)
			a := make([]*big.Int, sectors)
			for j := range a {
				a[j] = number(randomNumbers(1))
				a[j].Mod(a[j], p)
			}
			z, data := reduced(randomNumbers(rows), p), randomNumbers(rows*sectors)
			dot := NewDot(p, a, numberSize)
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				dot.Add(z, data)
			}
			perBlock(b, rows)
		})
	}
}

func randomNumbers(count int) []byte {
	b := make([]byte, count*numberSize)
	rand.Read(b)
	return b
}

func perBlock(b *testing.B, blocks int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*blocks), "ns/block")
}
