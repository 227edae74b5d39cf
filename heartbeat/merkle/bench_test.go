package merkle

import (
	"bytes"
	"crypto/sha256"
	"io"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
)

// benchmarkSize is the file of the benchmarks: 32 MiB, of which a challenge
// covers 1%.
const benchmarkSize = 32 << 20

func benchmarkHeartbeat(b *testing.B) *Heartbeat {
	b.Helper()
	fraction := 0.01
	h, err := New(&fraction)
	if err != nil {
		b.Fatal(err)
	}
	return h
}

// BenchmarkEncode counts the bytes of the file, though its challenges hash 2.56
// times as many. /limit is what one lane allows: to hash as many bytes, which
// are at hand, with crypto/sha256. With -cpu 1 all of them are of one core.
func BenchmarkEncode(b *testing.B) {
	h := benchmarkHeartbeat(b)
	encode := func(b *testing.B) {
		file := filestream.New("benchmark", benchmarkSize)
		b.ReportAllocs()
		b.SetBytes(benchmarkSize)
		for b.Loop() {
			if _, err := h.Encode(b.Context(), file, benchmarkSize, io.Discard, heartbeat.EncodeOptions{}); err != nil {
				b.Fatal(err)
			}
		}
	}
	for _, kernel := range sha256x.Kernels() {
		b.Run("32MiB/kernel="+kernel, func(b *testing.B) {
			defer sha256x.Use(kernel)()
			encode(b)
		})
	}
	b.Run("32MiB/limit", func(b *testing.B) {
		window := make([]byte, benchmarkSize/100)
		b.SetBytes(benchmarkSize)
		for b.Loop() {
			for range DefaultChallenges {
				sha256.Sum256(window)
			}
		}
	})
}

// BenchmarkEncodeSmall is a file of which the windows are so small that all the
// rest counts.
func BenchmarkEncodeSmall(b *testing.B) {
	h := benchmarkHeartbeat(b)
	const size = 10 << 10
	file := filestream.New("benchmark", size)
	for _, kernel := range sha256x.Kernels() {
		b.Run("10KiB/kernel="+kernel, func(b *testing.B) {
			defer sha256x.Use(kernel)()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h.Encode(b.Context(), file, size, io.Discard, heartbeat.EncodeOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkProve(b *testing.B) {
	h := benchmarkHeartbeat(b)
	b.Run("32MiB", func(b *testing.B) {
		tag, _, challenge, _ := benchmarkRound(b, h)
		file := filestream.New("benchmark", benchmarkSize)
		b.ReportAllocs()
		b.SetBytes(benchmarkSize / 100)
		for b.Loop() {
			if _, err := new(Prover).Prove(b.Context(), file, benchmarkSize, tag, challenge); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	h := benchmarkHeartbeat(b)
	_, state, challenge, proof := benchmarkRound(b, h)
	wire, err := h.ProofJSON(proof)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("32MiB", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if valid, err := h.Verify(state, challenge, proof); !valid || err != nil {
				b.Fatal(valid, err)
			}
		}
	})
	b.Run("32MiB/parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := h.ParseProof(wire); err != nil {
				b.Fatal(err)
			}
		}
	})
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
	if proof, err = new(Prover).Prove(b.Context(), file, benchmarkSize, out.Bytes(), challenge); err != nil {
		b.Fatal(err)
	}
	return out.Bytes(), state, challenge, proof
}
