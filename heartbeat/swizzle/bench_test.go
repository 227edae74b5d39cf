package swizzle

import (
	"crypto/sha256"
	"io"
	"math/big"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
	"github.com/driveshare/downstream-node/heartbeat/internal/heartbeattest"
)

// benchmarkSize is the size of the file in the benchmarks. A challenge covers 1% of
// the file.
const benchmarkSize = 32 << 20

// BenchmarkBigMul1024 is the reference for the time that a proof takes per chunk.
func BenchmarkBigMul1024(b *testing.B) {
	h := benchmarkHeartbeat(b)
	x, y := new(big.Int).Sub(h.p, big.NewInt(1)), new(big.Int).Sub(h.p, big.NewInt(2))
	var z big.Int
	for b.Loop() {
		z.Mul(x, y)
	}
	perBlock(b, 1)
}

// BenchmarkSHA256 is the reference for the time of encoding.
func BenchmarkSHA256(b *testing.B) {
	content := make([]byte, 1<<20)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		sha256.Sum256(content)
	}
}

// BenchmarkStream measures only the generation of the file, which is AES-256-CTR.
func BenchmarkStream(b *testing.B) {
	file, content := filestream.New("benchmark", benchmarkSize), make([]byte, 64<<10)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if _, err := file.ReadAt(content, 0); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEncode measures the time from the seed to the tag and to the hash of the
// file.
func BenchmarkEncode(b *testing.B) {
	h := benchmarkHeartbeat(b)
	eachPath(b, func(b *testing.B) {
		file := filestream.New("benchmark", benchmarkSize)
		b.ReportAllocs()
		b.SetBytes(benchmarkSize)
		for b.Loop() {
			content := sha256.New()
			if _, err := h.Encode(b.Context(), file, benchmarkSize, io.Discard, heartbeat.EncodeOptions{Content: content}); err != nil {
				b.Fatal(err)
			}
			content.Sum(nil)
		}
		perBlock(b, int(h.chunks(benchmarkSize)))
	})
}

func BenchmarkProve(b *testing.B) {
	h := benchmarkHeartbeat(b)
	f := encode(b, h, benchmarkSize)
	challenge := f.Challenge(b)
	eachPath(b, func(b *testing.B) {
		file := filestream.New(f.Seed, benchmarkSize) // with the kernel that is in use
		b.ReportAllocs()
		for b.Loop() {
			if _, err := f.Farmer.Prove(b.Context(), file, benchmarkSize, f.Tag, challenge); err != nil {
				b.Fatal(err)
			}
		}
		perBlock(b, benchmarkBlocks(h))
	})
}

func BenchmarkVerify(b *testing.B) {
	h := benchmarkHeartbeat(b)
	f := encode(b, h, benchmarkSize)
	challenge := f.Challenge(b)
	proof := f.Prove(b, challenge)
	eachPath(b, func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if valid, err := h.Verify(f.State, challenge, proof); !valid || err != nil {
				b.Fatal(valid, err)
			}
		}
		perBlock(b, benchmarkBlocks(h))
	})
}

func eachPath(b *testing.B, bench func(b *testing.B)) {
	b.Run("32MiB", func(b *testing.B) { heartbeattest.EachPath(b, choices, bench) })
}

// perBlock reports the time per chunk, as ns/block.
func perBlock(b *testing.B, blocks int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*blocks), "ns/block")
}

func benchmarkBlocks(h *Heartbeat) int {
	return int(challenged(h.fraction, uint32(h.chunks(benchmarkSize))))
}

func benchmarkHeartbeat(b *testing.B) *Heartbeat {
	b.Helper()
	h, err := New(DefaultCheckFraction)
	if err != nil {
		b.Fatal(err)
	}
	return h
}
