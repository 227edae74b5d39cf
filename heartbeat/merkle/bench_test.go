package merkle

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"strings"
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
// are at hand, with crypto/sha256; /file-hash is with the hash of the file, as
// a node needs it. With -cpu 1 all of them are of one core.
func BenchmarkEncode(b *testing.B) {
	h := benchmarkHeartbeat(b)
	encode := func(b *testing.B, and func(ctx context.Context)) {
		file := filestream.New("benchmark", benchmarkSize)
		b.ReportAllocs()
		b.SetBytes(benchmarkSize)
		for b.Loop() {
			if _, err := h.Encode(b.Context(), file, benchmarkSize, io.Discard, heartbeat.EncodeOptions{}); err != nil {
				b.Fatal(err)
			}
			and(b.Context())
		}
	}
	nothing := func(context.Context) {}
	b.Run("32MiB", func(b *testing.B) { encode(b, nothing) })
	for _, kernel := range sha256x.Kernels() {
		b.Run("32MiB/kernel="+kernel, func(b *testing.B) {
			defer sha256x.Use(kernel)()
			encode(b, nothing)
		})
	}
	b.Run("32MiB/file-hash", func(b *testing.B) {
		encode(b, func(ctx context.Context) {
			if _, err := filestream.Hash(ctx, "benchmark", benchmarkSize); err != nil {
				b.Fatal(err)
			}
		})
	})
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

// BenchmarkVerify is of a proof in its binary form; /wire is from its wire bytes
// to the verdict, and /wire/reference the same by way of encoding/json, which
// is the second opinion of the tests.
func BenchmarkVerify(b *testing.B) {
	h := benchmarkHeartbeat(b)
	_, state, challenge, proof := benchmarkRound(b, h)
	wire, err := h.ProofJSON(proof)
	if err != nil {
		b.Fatal(err)
	}
	buffer := make([]byte, 0, usualProof)
	for _, from := range []struct {
		name   string
		decode func() ([]byte, error)
	}{
		{"32MiB", func() ([]byte, error) { return proof, nil }},
		{"32MiB/wire", func() ([]byte, error) { return h.AppendProof(buffer, wire) }},
		{"32MiB/wire/reference", func() ([]byte, error) {
			p, err := parseProofJSON(wire)
			return p.marshal(), err
		}},
	} {
		b.Run(from.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				proof, err := from.decode()
				if err != nil {
					b.Fatal(err)
				}
				if valid, err := h.Verify(state, challenge, proof); !valid || err != nil {
					b.Fatal(valid, err)
				}
			}
		})
	}
}

// BenchmarkHostileProof decodes bodies as long as that of an honest proof,
// which is the first.
func BenchmarkHostileProof(b *testing.B) {
	h := benchmarkHeartbeat(b)
	_, _, _, proof := benchmarkRound(b, h)
	honest, err := h.ProofJSON(proof)
	if err != nil {
		b.Fatal(err)
	}
	size := len(honest)
	fill := func(before, part string) []byte {
		return append([]byte(before), strings.Repeat(part, size/len(part)+1)...)[:size]
	}
	for _, body := range []struct {
		name string
		wire []byte
	}{
		{"honest", honest},
		{"wrong at the end", append(bytes.Clone(honest[:size-1]), ']')},
		{"last hash of another kind", bytes.Replace(honest, []byte(`=="]]`), []byte(`=A"]]`), 1)},
		{"spaces", fill("", " ")},
		{"brackets", fill("", "[")},
		{"objects", fill("", `{"leaf":`)},
		{"escapes", fill(`{"leaf":{"blob":"`, `\u0041`)},
		{"members", fill(`{`, `"leaf":{"blob":7},`)},
		{"rows", fill(`{"branch":{"rows":[`, `["",""],`)},
		{"other members", fill(`{`, `"a":[],`)},
		{"one long hash", fill(`{"leaf":{"index":0,"blob":"`, "A")},
	} {
		b.Run(body.name, func(b *testing.B) {
			buffer := make([]byte, 0, usualProof)
			b.ReportAllocs()
			for b.Loop() {
				_, _ = h.AppendProof(buffer, body.wire) // refused, all but the first
			}
		})
	}
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

// BenchmarkWriteTag writes a tag as a hand-out does, through a buffer that is
// larger than the writer's own.
func BenchmarkWriteTag(b *testing.B) {
	h := benchmarkHeartbeat(b)
	tag, _, _, _ := benchmarkRound(b, h)
	out := bufio.NewWriterSize(io.Discard, 32<<10)
	in := bytes.NewReader(nil)
	b.ReportAllocs()
	b.SetBytes(int64(len(tag)))
	for b.Loop() {
		in.Reset(tag)
		if err := h.WriteTagJSON(out, in); err != nil {
			b.Fatal(err)
		}
	}
}
