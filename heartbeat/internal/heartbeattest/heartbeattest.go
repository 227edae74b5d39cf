// Package heartbeattest holds the code that the tests and benchmarks of several
// packages share: an encoded file with both sides of a scheme, loops over kernels,
// and the test vectors.
package heartbeattest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
	"github.com/driveshare/downstream-node/heartbeat/internal/kernel"
)

// File is an encoded file, with the data that the node and the farmer have about
// it.
type File struct {
	Node    heartbeat.Heartbeat
	Farmer  heartbeat.Prover
	Seed    string
	Content *filestream.Reader // the stream of Seed
	Tag     []byte
	State   []byte // the state after the latest challenge
}

// Encode encodes a file of size bytes.
func Encode(t testing.TB, node heartbeat.Heartbeat, farmer heartbeat.Prover, size int64, opt heartbeat.EncodeOptions) *File {
	t.Helper()
	seed := fmt.Sprint("file of ", size)
	f := &File{Node: node, Farmer: farmer, Seed: seed, Content: filestream.New(seed, size)}
	var tag bytes.Buffer
	var err error
	if f.State, err = node.Encode(t.Context(), f.Content, size, &tag, opt); err != nil {
		t.Fatal(err)
	}
	f.Tag = tag.Bytes()
	return f
}

// Challenge issues the next challenge.
func (f *File) Challenge(t testing.TB) []byte {
	t.Helper()
	challenge, next, err := f.Node.Challenge(f.State)
	if err != nil {
		t.Fatal(err)
	}
	f.State = next
	return challenge
}

// Prove returns the farmer's proof.
func (f *File) Prove(t testing.TB, challenge []byte) []byte {
	t.Helper()
	return f.ProveWith(t, f.Content, challenge)
}

// ProveWith returns the proof of a farmer who has content instead of the file.
func (f *File) ProveWith(t testing.TB, content io.ReaderAt, challenge []byte) []byte {
	t.Helper()
	proof, err := f.Farmer.Prove(t.Context(), content, f.Content.Size(), f.Tag, challenge)
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

// Verify reports whether the proof is valid. An error ends the test.
func (f *File) Verify(t testing.TB, challenge, proof []byte) bool {
	t.Helper()
	valid, err := f.Node.Verify(f.State, challenge, proof)
	if err != nil {
		t.Fatal(err)
	}
	return valid
}

// runner is *testing.T or *testing.B.
type runner[T any] interface {
	testing.TB
	Run(name string, run func(T)) bool
}

// EachKernel runs a test or a benchmark with each kernel of a choice. The test must
// not be parallel, because no other test may use the choice during that time.
func EachKernel[T runner[T]](t T, choice *kernel.Choice, run func(T)) {
	for _, k := range choice.Available() {
		t.Run("kernel="+k.String(), func(t T) {
			defer choice.Use(k)()
			run(t)
		})
	}
}

// EachPath runs a test or a benchmark twice: first with the best kernel of every
// choice, and then with the portable kernel of every choice. The name of the first
// run is the name of the first choice that has a tuned kernel.
func EachPath[T runner[T]](t T, choices []*kernel.Choice, run func(T)) {
	best := kernel.Portable
	for _, choice := range choices {
		if best == kernel.Portable {
			best = choice.Available()[0]
		}
	}
	t.Run("kernel="+best.String(), run)
	if best == kernel.Portable {
		return
	}
	t.Run("kernel="+kernel.Portable.String(), func(t T) {
		for _, choice := range choices {
			defer choice.Use(kernel.Portable)()
		}
		run(t)
	})
}

// Vector is a case that an independent implementation has computed.
type Vector struct {
	CheckFraction float64 `json:"check_fraction"` // Swizzle
	Challenges    int     // Merkle
	RootSeed      []byte  `json:"root_seed"` // Merkle
	Root          []byte  // Merkle
	File          struct {
		Seed string
		Size int64
	}
	Heartbeat, Public, Tag json.RawMessage
	State                  []byte // Swizzle
	Rounds                 []struct {
		Challenge, Proof json.RawMessage
		Valid            bool
		Why              string
	}
}

// Content returns the file of the case.
func (v *Vector) Content() *filestream.Reader { return filestream.New(v.File.Seed, v.File.Size) }

// ReadVectors reads the cases in a file.
func ReadVectors[V any](t testing.TB, path string) []V {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []V }
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) == 0 {
		t.Fatal("no vectors in " + path)
	}
	return file.Vectors
}
