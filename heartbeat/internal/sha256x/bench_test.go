package sha256x_test

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
)

// eachKernel runs a benchmark on each kernel, named such that benchstat can
// compare them with -col /kernel.
func eachKernel(b *testing.B, run func(b *testing.B)) {
	for _, kernel := range sha256x.Kernels() {
		b.Run("kernel="+kernel, func(b *testing.B) {
			defer sha256x.Use(kernel)()
			run(b)
		})
	}
}

// BenchmarkLanes is the rate of long messages, over all lanes; its portable
// twin is the rate of crypto/sha256.
func BenchmarkLanes(b *testing.B) {
	eachKernel(b, func(b *testing.B) {
		const part, parts = 64 << 10, 4
		data := make([]byte, sha256x.Lanes*part+1024)
		macs := sha256x.NewMACs(make([][32]byte, sha256x.Lanes))
		b.SetBytes(sha256x.Lanes * part * parts)
		for b.Loop() {
			var handed [sha256x.Lanes]int
			sha256x.Interleave(func(lane int) (*sha256x.MAC, []byte) {
				if handed[lane]++; handed[lane] > parts {
					return nil, nil
				}
				at := lane * (part + 61) // as unaligned as parts of a file are
				return &macs[lane], data[at : at+part]
			})
		}
	})
}

func BenchmarkSum(b *testing.B) {
	for _, size := range []int{35, 64} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			eachKernel(b, func(b *testing.B) {
				messages := make([][]byte, 256)
				for i := range messages {
					messages[i] = make([]byte, size)
				}
				dst := make([][sha256x.Size]byte, len(messages))
				for b.Loop() {
					sha256x.Sum(dst, messages)
				}
				perDigest(b, len(messages))
			})
		})
	}
}

func BenchmarkSumU32(b *testing.B) {
	eachKernel(b, func(b *testing.B) {
		x := make([]uint32, 1024)
		dst := make([][sha256x.Size]byte, len(x))
		for b.Loop() {
			sha256x.SumU32(dst, x)
		}
		perDigest(b, len(x))
	})
}

// BenchmarkSHA256 is what one lane allows.
func BenchmarkSHA256(b *testing.B) {
	data := make([]byte, 64<<10)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		sha256.Sum256(data)
	}
}

func perDigest(b *testing.B, digests int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*digests), "ns/digest")
}
