package schemes_test

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/internal/heartbeattest"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
)

// BenchmarkTarget measures both schemes with the detection target that 99 % of the
// farmers who lost 1 % fail, for files of several sizes. The target allows 12
// challenges, which is an hour of intervals of five minutes. For Merkle it also allows
// the 256 challenges of a whole contract. The benchmark also reports how much of a
// file a challenge covers, and the probability of detection, in per cent.
func BenchmarkTarget(b *testing.B) {
	for _, test := range []struct {
		name       string
		scheme     heartbeat.Type
		challenges int
	}{{"Swizzle/12", heartbeat.Swizzle, 12}, {"Merkle/12", heartbeat.Merkle, 12}, {"Merkle/256", heartbeat.Merkle, 256}} {
		target := heartbeat.Target{Lost: 0.01, Probability: 0.99, Challenges: test.challenges}
		key := sync.OnceValues(func() (heartbeat.Heartbeat, error) { // a Swizzle key takes long to make
			h, err := schemes.New(test.scheme, nil)
			if err != nil {
				return nil, err
			}
			return schemes.WithTarget(h, target)
		})
		for _, size := range []struct {
			name  string
			bytes int64
		}{{"1KiB", 1 << 10}, {"16KiB", 16 << 10}, {"64KiB", 64 << 10}, {"256KiB", 256 << 10}, {"1MiB", 1 << 20}, {"4MiB", 4 << 20}, {"32MiB", 32 << 20}} {
			b.Run(test.name+"/"+size.name, func(b *testing.B) {
				node, err := key()
				if err != nil {
					b.Fatal(err)
				}
				benchmarkTarget(b, node, target, size.bytes)
			})
		}
	}
}

func benchmarkTarget(b *testing.B, node heartbeat.Heartbeat, target heartbeat.Target, size int64) {
	farmer, err := schemes.ParsePublic(node.Type(), node.Public())
	if err != nil {
		b.Fatal(err)
	}
	encoded := sync.OnceValue(func() *heartbeattest.File {
		return heartbeattest.Encode(b, node, farmer, size, heartbeat.EncodeOptions{})
	})
	b.Run("encode", func(b *testing.B) {
		f := encoded()
		for b.Loop() {
			if _, err := node.Encode(b.Context(), f.Content, size, io.Discard, heartbeat.EncodeOptions{}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(100*float64(covered(b, f))/float64(size), "%covered")
		b.ReportMetric(100*node.Detection(size, target.Lost, target.Challenges, heartbeat.EncodeOptions{}), "%detected")
	})
	challenge := sync.OnceValue(func() []byte { return encoded().Challenge(b) })
	proof := sync.OnceValue(func() []byte { return encoded().Prove(b, challenge()) })
	b.Run("prove", func(b *testing.B) {
		f, c := encoded(), challenge()
		for b.Loop() {
			f.Prove(b, c)
		}
	})
	b.Run("verify", func(b *testing.B) {
		f, c, p := encoded(), challenge(), proof()
		for b.Loop() {
			if !f.Verify(b, c, p) {
				b.Fatal("an honest proof is invalid")
			}
		}
	})
}

// covered returns how many bytes of the file a challenge covers.
func covered(b *testing.B, f *heartbeattest.File) int64 {
	b.Helper()
	if f.Node.Type() == heartbeat.Swizzle {
		challenge := f.Challenge(b)
		return min(int64(binary.LittleEndian.Uint32(challenge))*1280, f.Content.Size())
	}
	var wire strings.Builder
	var tag struct {
		Chunk int64 `json:"chunksz"`
	}
	if err := f.Node.WriteTagJSON(&wire, strings.NewReader(string(f.Tag))); err != nil {
		b.Fatal(err)
	}
	if err := json.Unmarshal([]byte(wire.String()), &tag); err != nil {
		b.Fatal(err)
	}
	return tag.Chunk
}
