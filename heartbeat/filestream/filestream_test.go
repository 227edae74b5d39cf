package filestream_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/driveshare/downstream-node/heartbeat/filestream"
)

const seed = "59c5a3fd5f8b1c4dd1b8a5a8a0b6a1f2"

func TestVectors(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/randomio.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			Seed, SHA256 string
			Size         int64
			Slices       []struct {
				Hex            string
				Offset, Length int64
			}
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range file.Vectors {
		sum, err := filestream.Hash(t.Context(), v.Seed, v.Size)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(sum[:]); got != v.SHA256 {
			t.Errorf("seed %s, %d bytes: hash %s, want %s", v.Seed, v.Size, got, v.SHA256)
		}
		for _, slice := range v.Slices {
			got := make([]byte, slice.Length)
			if _, err := filestream.New(v.Seed, v.Size).ReadAt(got, slice.Offset); err != nil && err != io.EOF {
				t.Fatal(err)
			}
			if hex.EncodeToString(got) != slice.Hex {
				t.Errorf("seed %s at %d: %x, want %s", v.Seed, slice.Offset, got, slice.Hex)
			}
		}
	}
}

func TestReaderImplementsIOInterfaces(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{0, 1, 15, 16, 17, 4096, 70001} {
		if err := iotest.TestReader(filestream.New(seed, size), content(t, size)); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// A read of any part of the file must return the same bytes as one pass over the
// file.
func TestReadAtAnyOffset(t *testing.T) {
	t.Parallel()
	const size = 10000
	want := content(t, size)
	file := filestream.New(seed, size)
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		offset := random.Int64N(size)
		p := bytes.Repeat([]byte{0xa5}, random.IntN(200))
		n, err := file.ReadAt(p, offset)
		if n < len(p) != (err == io.EOF) || err != nil && err != io.EOF {
			t.Fatalf("read %d at %d: %d, %v", len(p), offset, n, err)
		}
		if !bytes.Equal(p[:n], want[offset:offset+int64(n)]) {
			t.Fatalf("read %d at %d: wrong bytes", len(p), offset)
		}
	}
}

func TestReadAtConcurrently(t *testing.T) {
	t.Parallel()
	const size = 10000
	want := content(t, size)
	file := filestream.New(seed, size)
	var readers sync.WaitGroup
	for reader := range int64(4) {
		readers.Go(func() {
			p := make([]byte, 777)
			for offset := reader; offset < size-int64(len(p)); offset += 61 {
				if _, err := file.ReadAt(p, offset); err != nil || !bytes.Equal(p, want[offset:][:len(p)]) {
					t.Errorf("read at %d: wrong bytes, or %v", offset, err)
					return
				}
			}
		})
	}
	readers.Wait()
}

// The stream does not depend on the size, and a read at a far offset does not
// compute the bytes before it.
func TestStreamDoesNotDependOnSize(t *testing.T) {
	t.Parallel()
	const far = 1<<62 + 5
	a, b := make([]byte, 40), make([]byte, 43)
	if _, err := filestream.New(seed, far+40).ReadAt(a, far); err != nil {
		t.Fatal(err)
	}
	if _, err := filestream.New(seed, far+41).ReadAt(b, far-2); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b[2:42]) {
		t.Error("the stream differs between two sizes")
	}
}

func TestBadArgumentsAreErrors(t *testing.T) {
	t.Parallel()
	file := filestream.New(seed, -5)
	if file.Size() != 0 {
		t.Errorf("size %d, want an empty file", file.Size())
	}
	if _, err := file.ReadAt(make([]byte, 1), -1); err == nil || err == io.EOF {
		t.Errorf("read at -1: %v", err)
	}
	if _, err := file.Seek(-1, io.SeekStart); err == nil {
		t.Error("seek to -1 succeeded")
	}
	if _, err := file.Seek(0, 9); err == nil {
		t.Error("seek with whence 9 succeeded")
	}
}

func TestHashStopsOnCancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := filestream.Hash(ctx, seed, 1<<40); !errors.Is(err, context.Canceled) {
		t.Errorf("hash after cancellation: %v", err)
	}
}

func content(t *testing.T, size int64) []byte {
	t.Helper()
	b, err := io.ReadAll(filestream.New(seed, size))
	if err != nil {
		t.Fatal(err)
	}
	want, err := filestream.Hash(t.Context(), seed, size)
	if err != nil {
		t.Fatal(err)
	}
	if sha256.Sum256(b) != want {
		t.Fatal("Hash is not the hash of the content")
	}
	return b
}
