package swizzle

import (
	"bytes"
	"crypto/sha256"
	"io"
	"math/big"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
)

// benchmarkSize is the file of the benchmarks: 32 MiB, of which a challenge
// covers 1%.
const benchmarkSize = 32 << 20

// BenchmarkBigMul1024 is what a challenged block is measured against.
func BenchmarkBigMul1024(b *testing.B) {
	h := benchmarkHeartbeat(b)
	x, y := new(big.Int).Sub(h.p, big.NewInt(1)), new(big.Int).Sub(h.p, big.NewInt(2))
	var z big.Int
	for b.Loop() {
		z.Mul(x, y)
	}
	perBlock(b, 1)
}

// BenchmarkSHA256 is what an encoding is measured against.
func BenchmarkSHA256(b *testing.B) {
	content := make([]byte, 1<<20)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		sha256.Sum256(content)
	}
}

// BenchmarkStream is the file alone, which is AES-256-CTR.
func BenchmarkStream(b *testing.B) {
	file, content := filestream.New("benchmark", benchmarkSize), make([]byte, 64<<10)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if _, err := file.ReadAt(content, 0); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEncode is from the seed to the tag and the hash of the file.
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
	tag, _, challenge, _ := benchmarkRound(b, h)
	prover := &Prover{field: h.field}
	eachPath(b, func(b *testing.B) {
		file := filestream.New("benchmark", benchmarkSize)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := prover.Prove(b.Context(), file, benchmarkSize, tag, challenge); err != nil {
				b.Fatal(err)
			}
		}
		perBlock(b, benchmarkBlocks(h))
	})
}

func BenchmarkVerify(b *testing.B) {
	h := benchmarkHeartbeat(b)
	_, state, challenge, proof := benchmarkRound(b, h)
	eachPath(b, func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if valid, err := h.Verify(state, challenge, proof); !valid || err != nil {
				b.Fatal(valid, err)
			}
		}
		perBlock(b, benchmarkBlocks(h))
	})
}

func eachPath(b *testing.B, bench func(b *testing.B)) {
	for _, path := range paths() {
		b.Run("32MiB/kernel="+path.name, func(b *testing.B) {
			defer path.use()()
			bench(b)
		})
	}
}

// perBlock reports the time of each block that an operation went through.
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

func benchmarkRound(b *testing.B, h *Heartbeat) (tag, state, challenge, proof []byte) {
	b.Helper()
	file := filestream.New("benchmark", benchmarkSize)
	var out bytes.Buffer
	state, err := h.Encode(b.Context(), file, benchmarkSize, &out, heartbeat.EncodeOptions{})
	if err != nil {
		b.Fatal(err)
	}
	if challenge, _, err = h.Challenge(state); err != nil {
		b.Fatal(err)
	}
	prover := &Prover{field: h.field}
	if proof, err = prover.Prove(b.Context(), file, benchmarkSize, out.Bytes(), challenge); err != nil {
		b.Fatal(err)
	}
	return out.Bytes(), state, challenge, proof
}
