package yardstick

import (
	"crypto/sha256"
	"io"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
)

// fileSize is what the figures are for.
const fileSize = 32 << 20

// BenchmarkSeedToChunk makes what the inventory holds of a file out of its
// seed: state, tag and the hash that names it.
func BenchmarkSeedToChunk(b *testing.B) {
	for _, scheme := range []heartbeat.Type{heartbeat.Swizzle, heartbeat.Merkle} {
		fraction := 0.01
		key, err := schemes.New(scheme, &fraction)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(scheme), func(b *testing.B) {
			b.SetBytes(fileSize)
			for b.Loop() {
				file := filestream.New("benchmark", fileSize)
				if _, err := key.Encode(b.Context(), file, fileSize, io.Discard, heartbeat.EncodeOptions{}); err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(sha256.New(), io.NewSectionReader(file, 0, fileSize)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
