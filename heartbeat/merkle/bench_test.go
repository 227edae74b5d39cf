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
	"github.com/driveshare/downstream-node/heartbeat/internal/heartbeattest"
	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
)

// benchmarkSize is the size of the file in the benchmarks. A challenge covers 1% of
// the file.
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

// BenchmarkEncode counts the bytes of the file. The challenges hash 2.56 times as
// many bytes. /limit hashes the same number of bytes as the challenges, from memory
// and with crypto/sha256. This is the limit of one lane. /file-hash also computes
// the hash of the file, as a node does. With -cpu 1 all parts of the benchmark use
// one core.
func BenchmarkEncode(b *testing.B) {
	h := benchmarkHeartbeat(b)
	encode := func(b *testing.B, also func(ctx context.Context)) {
		file := filestream.New("benchmark", benchmarkSize)
		b.ReportAllocs()
		b.SetBytes(benchmarkSize)
		for b.Loop() {
			if _, err := h.Encode(b.Context(), file, benchmarkSize, io.Discard, heartbeat.EncodeOptions{}); err != nil {
				b.Fatal(err)
			}
			also(b.Context())
		}
	}
	b.Run("32MiB", func(b *testing.B) {
		heartbeattest.EachKernel(b, sha256x.Kernels, func(b *testing.B) { encode(b, func(context.Context) {}) })
		b.Run("file-hash", func(b *testing.B) {
			encode(b, func(ctx context.Context) {
				if _, err := filestream.Hash(ctx, "benchmark", benchmarkSize); err != nil {
					b.Fatal(err)
				}
			})
		})
		b.Run("limit", func(b *testing.B) {
			window := make([]byte, benchmarkSize/100)
			b.SetBytes(benchmarkSize)
			for b.Loop() {
				for range DefaultChallenges {
					sha256.Sum256(window)
				}
			}
		})
	})
}

// BenchmarkEncodeSmall measures a file with very small windows. The time to hash
// them is negligible, so the benchmark measures all other work.
func BenchmarkEncodeSmall(b *testing.B) {
	h := benchmarkHeartbeat(b)
	const size = 10 << 10
	file := filestream.New("benchmark", size)
	b.Run("10KiB", func(b *testing.B) {
		heartbeattest.EachKernel(b, sha256x.Kernels, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h.Encode(b.Context(), file, size, io.Discard, heartbeat.EncodeOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

func BenchmarkProve(b *testing.B) {
	b.Run("32MiB", func(b *testing.B) {
		f := encode(b, new(0.01), benchmarkSize, heartbeat.EncodeOptions{})
		challenge := f.Challenge(b)
		b.ReportAllocs()
		b.SetBytes(benchmarkSize / 100)
		for b.Loop() {
			if _, err := f.Farmer.Prove(b.Context(), f.Content, benchmarkSize, f.Tag, challenge); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkVerify measures the time from the binary form of a proof to the verdict.
// /wire starts with the wire form of the proof. /wire/reference also starts with
// the wire form, but decodes it with the reference decoder of the tests.
func BenchmarkVerify(b *testing.B) {
	f := encode(b, new(0.01), benchmarkSize, heartbeat.EncodeOptions{})
	challenge := f.Challenge(b)
	proof := f.Prove(b, challenge)
	wire, err := Wire{}.ProofJSON(proof)
	if err != nil {
		b.Fatal(err)
	}
	buffer := make([]byte, 0, usualProof)
	for _, from := range []struct {
		name   string
		decode func() ([]byte, error)
	}{
		{"32MiB", func() ([]byte, error) { return proof, nil }},
		{"32MiB/wire", func() ([]byte, error) { return Wire{}.appendProof(buffer, wire) }},
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
				if valid, err := f.Node.Verify(f.State, challenge, proof); !valid || err != nil {
					b.Fatal(valid, err)
				}
			}
		})
	}
}

// BenchmarkHostileProof decodes an honest proof, and then malformed bodies of the
// same length.
func BenchmarkHostileProof(b *testing.B) {
	f := encode(b, new(0.01), benchmarkSize, heartbeat.EncodeOptions{})
	honest, err := Wire{}.ProofJSON(f.Prove(b, f.Challenge(b)))
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
				_, _ = Wire{}.appendProof(buffer, body.wire) // fails for all bodies except for the first
			}
		})
	}
}

// BenchmarkWriteTag writes a tag to a buffer that the caller provides, as the API
// does.
func BenchmarkWriteTag(b *testing.B) {
	tag := encode(b, new(0.01), benchmarkSize, heartbeat.EncodeOptions{}).Tag
	out := bufio.NewWriterSize(io.Discard, 32<<10)
	in := bytes.NewReader(nil)
	b.ReportAllocs()
	b.SetBytes(int64(len(tag)))
	for b.Loop() {
		in.Reset(tag)
		if err := (Wire{}).WriteTagJSON(out, in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRoot measures what the choice of a root seed adds to Encode: /chosen
// chooses the root, and /given does not. The windows have 1 % of the file.
func BenchmarkRoot(b *testing.B) {
	h := benchmarkHeartbeat(b)
	given := make([]byte, seedSize)
	for _, size := range []struct {
		name  string
		bytes int64
	}{{"10KiB", 10 << 10}, {"1MiB", 1 << 20}, {"32MiB", 32 << 20}} {
		file := filestream.New("benchmark", size.bytes)
		for name, root := range map[string][]byte{"given": given, "chosen": nil} {
			b.Run(size.name+"/"+name, func(b *testing.B) {
				for b.Loop() {
					if _, err := h.Encode(b.Context(), file, size.bytes, io.Discard, heartbeat.EncodeOptions{RootSeed: root}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
	b.Run("alone", func(b *testing.B) {
		e := newEdges(DefaultChallenges, benchmarkSize, benchmarkSize/100)
		for b.Loop() {
			e.root(h.key)
		}
	})
}
