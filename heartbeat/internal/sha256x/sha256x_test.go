package sha256x_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat/internal/heartbeattest"
	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
)

// counts are numbers of messages. Some of them fill all lanes, and others fill only
// some lanes.
var counts = []int{0, 1, 2, 3, 4, 5, 15, 16, 17, 19, 20, 31, 32, 33, 100}

func TestSumU32(t *testing.T) {
	heartbeattest.EachKernel(t, sha256x.Kernels, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		for _, n := range counts {
			x := make([]uint32, n)
			for i := range x {
				x[i] = random.Uint32()
			}
			copy(x, []uint32{0, 1, 0x80, 1 << 31, 1<<32 - 1})
			checkSumU32(t, x)
		}
	})
}

// The test hashes messages of every length near the end of a block, in every lane.
func TestSum(t *testing.T) {
	heartbeattest.EachKernel(t, sha256x.Kernels, func(t *testing.T) {
		for _, n := range counts {
			messages := make([][]byte, n)
			for first := range 140 {
				for i := range messages {
					messages[i] = randomBytes(uint64(first*n+i), (first+i)%140)
				}
				checkSum(t, messages)
			}
		}
		checkSum(t, [][]byte{nil, {}, make([]byte, 5000), make([]byte, 1), nil})
	})
}

// The messages in the lanes have different lengths, and so do the parts of a
// message. There can be more messages than lanes.
func TestMAC(t *testing.T) {
	heartbeattest.EachKernel(t, sha256x.Kernels, func(t *testing.T) {
		for _, n := range counts {
			messages := make([][]byte, n)
			for _, size := range []int{0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 1000, 4096} {
				for i := range messages {
					messages[i] = randomBytes(uint64(n*size+i), size+i%3*i)
				}
				checkMACs(t, messages, uint64(size))
			}
		}
	})
}

// The blocks consist of ones, of zeros, or of single bits. A wrong carry or
// rotation changes their digests.
func TestEdges(t *testing.T) {
	heartbeattest.EachKernel(t, sha256x.Kernels, func(t *testing.T) {
		messages := make([][]byte, 512)
		for i := range messages {
			messages[i] = make([]byte, 64)
			messages[i][i/8] = 1 << (i % 8)
		}
		for i := range 32 {
			ones := make([]byte, 64+i)
			for k := range ones {
				ones[k] = 0xff
			}
			messages = append(messages, ones)
		}
		checkSum(t, messages)
		checkMACs(t, messages, 7)
	})
}

func TestMACPanicsOnAPartAfterTheLast(t *testing.T) {
	heartbeattest.EachKernel(t, sha256x.Kernels, func(t *testing.T) {
		defer func() {
			if recover() == nil {
				t.Error("no panic for a part that follows an incomplete block")
			}
		}()
		macs := sha256x.NewMACs(make([][sha256x.Size]byte, 1))
		sha256x.Interleave(func(int) (*sha256x.MAC, []byte) { return &macs[0], make([]byte, 65) })
	})
}

func FuzzSum(f *testing.F) {
	f.Add([]byte("abc"), uint16(3), uint64(0))
	f.Add(make([]byte, 400), uint16(56), uint64(1))
	f.Add(randomBytes(5, 3000), uint16(119), uint64(2))
	f.Add(randomBytes(6, 9000), uint16(500), uint64(3))
	f.Fuzz(func(t *testing.T, all []byte, size uint16, seed uint64) {
		var messages [][]byte
		for rest := all; len(rest) > 0; {
			n := min(int(size)+len(messages)%5, len(rest))
			messages = append(messages, rest[:n])
			rest = rest[max(n, 1):]
		}
		x := make([]uint32, len(all)/4)
		for i := range x {
			x[i] = binary.LittleEndian.Uint32(all[4*i:])
		}
		for _, k := range sha256x.Kernels.Available() {
			restore := sha256x.Kernels.Use(k)
			checkSum(t, messages)
			checkSumU32(t, x)
			checkMACs(t, messages, seed)
			restore()
		}
	})
}

func checkSumU32(t *testing.T, x []uint32) {
	t.Helper()
	dst := make([][sha256x.Size]byte, len(x)+1)
	sha256x.SumU32(dst, x)
	for i, number := range x {
		if want := sha256.Sum256(binary.LittleEndian.AppendUint32(nil, number)); dst[i] != want {
			t.Errorf("%d of %d, %#x: %x, want %x", i, len(x), number, dst[i], want)
		}
	}
	if dst[len(x)] != [sha256x.Size]byte{} {
		t.Errorf("%d numbers: wrote after the last digest", len(x))
	}
}

func checkSum(t *testing.T, messages [][]byte) {
	t.Helper()
	dst := make([][sha256x.Size]byte, len(messages)+1)
	sha256x.Sum(dst, messages)
	for i, message := range messages {
		if want := sha256.Sum256(message); dst[i] != want {
			t.Errorf("%d of %d, %x: %x, want %x", i, len(messages), message, dst[i], want)
		}
	}
	if dst[len(messages)] != [sha256x.Size]byte{} {
		t.Errorf("%d messages: wrote after the last digest", len(messages))
	}
}

// checkMACs distributes the messages over the lanes, in parts whose sizes depend on
// the seed. It overwrites the memory of a part after Interleave has added the part.
func checkMACs(t *testing.T, messages [][]byte, seed uint64) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	keys := make([][sha256x.Size]byte, len(messages))
	left := make([][]byte, len(messages))
	for i, message := range messages {
		keys[i] = [sha256x.Size]byte(randomBytes(seed+uint64(i), sha256x.Size))
		left[i] = message
	}
	macs := sha256x.NewMACs(keys)
	var memory [sha256x.Lanes][]byte
	sha256x.Interleave(func(lane int) (*sha256x.MAC, []byte) {
		clear(memory[lane])
		for i := lane; i < len(messages); i += sha256x.Lanes {
			if len(left[i]) > 0 {
				n := min(random.IntN(5)*sha256x.BlockSize, len(left[i]))
				if n == len(left[i])/sha256x.BlockSize*sha256x.BlockSize {
					n = len(left[i])
				}
				memory[lane] = append(memory[lane][:0], left[i][:n]...)
				left[i] = left[i][n:]
				return &macs[i], memory[lane]
			}
		}
		return nil, nil
	})
	sums := make([][sha256x.Size]byte, len(messages))
	sha256x.SumMACs(sums, macs)
	for i, message := range messages {
		want := hmac.New(sha256.New, keys[i][:])
		want.Write(message)
		if sums[i] != [sha256x.Size]byte(want.Sum(nil)) {
			t.Errorf("%d of %d, of %d bytes: %x, want %x", i, len(messages), len(message), sums[i], want.Sum(nil))
		}
	}
}

func randomBytes(seed uint64, size int) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	b := make([]byte, size)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

// BenchmarkLanes measures long messages on all lanes.
func BenchmarkLanes(b *testing.B) {
	heartbeattest.EachKernel(b, sha256x.Kernels, func(b *testing.B) {
		const part, parts = 64 << 10, 4
		data := make([]byte, sha256x.Lanes*part+1024)
		macs := sha256x.NewMACs(make([][32]byte, sha256x.Lanes))
		b.SetBytes(sha256x.Lanes * part * parts)
		for b.Loop() {
			var handed [sha256x.Lanes]int
			sha256x.Interleave(func(lane int) (*sha256x.MAC, []byte) {
				if handed[lane]++; handed[lane] > parts {
					return nil, nil
				}
				at := lane * (part + 61) // not aligned, as the parts of a file are
				return &macs[lane], data[at : at+part]
			})
		}
	})
}

func BenchmarkSum(b *testing.B) {
	for _, size := range []int{35, 64} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			heartbeattest.EachKernel(b, sha256x.Kernels, func(b *testing.B) {
				messages := make([][]byte, 256)
				for i := range messages {
					messages[i] = make([]byte, size)
				}
				dst := make([][sha256x.Size]byte, len(messages))
				for b.Loop() {
					sha256x.Sum(dst, messages)
				}
				perDigest(b, len(messages))
			})
		})
	}
}

func BenchmarkSumU32(b *testing.B) {
	heartbeattest.EachKernel(b, sha256x.Kernels, func(b *testing.B) {
		x := make([]uint32, 1024)
		dst := make([][sha256x.Size]byte, len(x))
		for b.Loop() {
			sha256x.SumU32(dst, x)
		}
		perDigest(b, len(x))
	})
}

// BenchmarkSHA256 measures one lane, which is the limit of the portable code.
func BenchmarkSHA256(b *testing.B) {
	data := make([]byte, 64<<10)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		sha256.Sum256(data)
	}
}

func perDigest(b *testing.B, digests int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*digests), "ns/digest")
}
