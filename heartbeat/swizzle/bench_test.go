package swizzle

import (
	"bytes"
	"io"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
)

// benchmarkSize is the file of the benchmarks: 32 MiB, of which a challenge
// covers 1%.
const benchmarkSize = 32 << 20

func benchmarkHeartbeat(b *testing.B) *Heartbeat {
	b.Helper()
	h, err := New(DefaultCheckFraction)
	if err != nil {
		b.Fatal(err)
	}
	return h
}

func BenchmarkEncode(b *testing.B) {
	h := benchmarkHeartbeat(b)
	b.Run("32MiB", func(b *testing.B) {
		file := filestream.New("benchmark", benchmarkSize)
		b.ReportAllocs()
		b.SetBytes(benchmarkSize)
		for b.Loop() {
			if _, err := h.Encode(b.Context(), file, benchmarkSize, io.Discard, heartbeat.EncodeOptions{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkProve(b *testing.B) {
	h := benchmarkHeartbeat(b)
	tag, _, challenge, _ := benchmarkRound(b, h)
	prover := &Prover{field: h.field}
	b.Run("32MiB", func(b *testing.B) {
		file := filestream.New("benchmark", benchmarkSize)
		b.ReportAllocs()
		b.SetBytes(benchmarkSize / 100)
		for b.Loop() {
			if _, err := prover.Prove(b.Context(), file, benchmarkSize, tag, challenge); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	h := benchmarkHeartbeat(b)
	_, state, challenge, proof := benchmarkRound(b, h)
	b.Run("32MiB", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if valid, err := h.Verify(state, challenge, proof); !valid || err != nil {
				b.Fatal(valid, err)
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
	prover := &Prover{field: h.field}
	if proof, err = prover.Prove(b.Context(), file, benchmarkSize, out.Bytes(), challenge); err != nil {
		b.Fatal(err)
	}
	return out.Bytes(), state, challenge, proof
}
