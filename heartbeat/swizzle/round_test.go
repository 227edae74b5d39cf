package swizzle

import (
	"bytes"
	"errors"
	"io"
	"math/big"
	"runtime"
	"sync"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
	"github.com/driveshare/downstream-node/heartbeat/internal/heartbeattest"
)

// testHeartbeat is one heartbeat for all tests, because it takes long to find a
// prime.
var testHeartbeat = sync.OnceValues(func() (*Heartbeat, error) { return New(0.5) })

func sharedHeartbeat(t testing.TB) *Heartbeat {
	t.Helper()
	h, err := testHeartbeat()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// smallHeartbeat returns a heartbeat with chunks of 2 sectors of 1 byte, so that a
// small file has many chunks.
func smallHeartbeat(t testing.TB, fraction float64) *Heartbeat {
	t.Helper()
	h := &Heartbeat{field: field{p: big.NewInt(257), sectors: 2, sectorSize: 1}, fraction: fraction}
	again, err := Parse(h.Private(), fraction)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func encode(t testing.TB, h *Heartbeat, size int64) *heartbeattest.File {
	t.Helper()
	return heartbeattest.Encode(t, h, &Prover{field: h.field}, size, heartbeat.EncodeOptions{})
}

func TestNewHeartbeat(t *testing.T) {
	t.Parallel()
	h := sharedHeartbeat(t)
	if h.p.BitLen() != primeBits || !h.p.ProbablyPrime(10) {
		t.Errorf("p is %v", h.p)
	}
	if h.sectors != 10 || h.sectorSize != 128 {
		t.Errorf("%d sectors of %d bytes", h.sectors, h.sectorSize)
	}
}

func TestChallengeKeepsState(t *testing.T) {
	t.Parallel()
	f := encode(t, sharedHeartbeat(t), 3000)
	if _, next, err := f.Node.Challenge(f.State); err != nil || !bytes.Equal(next, f.State) {
		t.Errorf("state %x, then %x, %v", f.State, next, err)
	}
}

func TestHonestProofsWithSmallPrimeAreValid(t *testing.T) {
	t.Parallel()
	for size := range int64(100) {
		f := encode(t, smallHeartbeat(t, 0.3), size)
		challenge := f.Challenge(t)
		if !f.Verify(t, challenge, f.Prove(t, challenge)) {
			t.Errorf("file of %d bytes: not valid", size)
		}
	}
}

// The primes have odd lengths, and the kernels do not support these numbers of
// sectors.
func TestHonestProofsWithOddHeartbeatsAreValid(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		bits    uint
		less    int64 // the prime is 2^bits - less
		sectors int
	}{{1024, 105, 1}, {1024, 105, 101}, {1023, 361, 10}, {1017, 1, 3}, {521, 1, 10}, {130, 5, 7}, {128, 159, 2}, {127, 1, 2}, {61, 1, 200}} {
		p := new(big.Int).Lsh(big.NewInt(1), test.bits)
		p.Sub(p, big.NewInt(test.less))
		field := field{p: p, sectors: test.sectors, sectorSize: int(test.bits / 8)}
		h := newHeartbeat(field, [keySize]byte{1}, [keySize]byte{2})
		h.fraction = 0.3
		for _, chunks := range []int64{0, 1, 8, 9, 70} {
			for _, size := range []int64{chunks * h.chunkSize(), chunks*h.chunkSize() + int64(h.sectorSize) + 1, (chunks+1)*h.chunkSize() - 1} {
				f := encode(t, h, size)
				challenge := f.Challenge(t)
				proof := f.Prove(t, challenge)
				if !f.Verify(t, challenge, proof) || !naiveVerify(t, h, f.State, challenge, proof) {
					t.Errorf("2^%d-%d, %d sectors, file of %d bytes: not valid", test.bits, test.less, test.sectors, size)
				}
			}
		}
	}
}

// A mu that is p or more has the same effect as its remainder modulo p. A sigma
// must be below p.
func TestNumbersAboveP(t *testing.T) {
	t.Parallel()
	h := sharedHeartbeat(t)
	f := encode(t, h, 3000)
	challenge := f.Challenge(t)
	p, err := parseProof(f.Prove(t, challenge))
	if err != nil {
		t.Fatal(err)
	}
	for j := range p.mu {
		mu := new(big.Int).SetBytes(p.mu[j])
		large := new(big.Int).Lsh(h.p, uint(700*j))
		p.mu[j] = mu.Add(mu, large).Bytes()
	}
	if !f.Verify(t, challenge, p.marshal()) {
		t.Error("not valid")
	}
	sigma := new(big.Int).SetBytes(p.sigma)
	p.sigma = sigma.Add(sigma, h.p).Bytes()
	if f.Verify(t, challenge, p.marshal()) {
		t.Error("a proof with a sigma that is not reduced is valid")
	}
}

func TestChallenged(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fraction float64
		n, want  uint32
	}{
		{0.01, 1, 1},
		{0.01, 16, 16},
		{0.01, 17, 16},
		{0.01, 1699, 16},
		{0.01, 1700, 17},
		{0, 1 << 30, 16},
		{1, 1 << 30, 1 << 30},
		{1, 1<<32 - 1, 1<<32 - 1},
	} {
		if got := challenged(test.fraction, test.n); got != test.want {
			t.Errorf("%v of %d chunks: %d, want %d", test.fraction, test.n, got, test.want)
		}
	}
}

// The equation holds, but the proof has the wrong number of mu.
func TestProofWithWrongNumberOfSectorsIsInvalid(t *testing.T) {
	t.Parallel()
	f := encode(t, sharedHeartbeat(t), 3000)
	challenge := f.Challenge(t)
	p, err := parseProof(f.Prove(t, challenge))
	if err != nil {
		t.Fatal(err)
	}
	// The file fills the 10 sectors of its first chunk, so no mu is zero.
	if p.mu = append(p.mu, nil); f.Verify(t, challenge, p.marshal()) {
		t.Error("a proof with one more mu of zero is valid")
	}
	if p.mu = p.mu[:9]; f.Verify(t, challenge, p.marshal()) {
		t.Error("a proof with one sector less is valid")
	}
}

func TestVerifyRefusesChallenges(t *testing.T) {
	t.Parallel()
	h := sharedHeartbeat(t)
	f := encode(t, h, 3000)
	proof := f.Prove(t, f.Challenge(t))
	for name, challenge := range map[string]fileChallenge{
		"no chunk challenged":       {l: 0, limit: h.p},
		"another heartbeat's prime": {l: 3, limit: big.NewInt(257)},
	} {
		if valid, err := h.Verify(f.State, challenge.marshal(), proof); valid || !errors.Is(err, heartbeat.ErrMalformed) {
			t.Errorf("%s: valid %v, %v", name, valid, err)
		}
	}
}

// A state is signed. If any bit of the state changes, or if the key is another key,
// openState must report a malformed state.
func TestTamperedStateIsMalformed(t *testing.T) {
	t.Parallel()
	h := sharedHeartbeat(t)
	state := encode(t, h, 3000).State
	for at := range state {
		bad := bytes.Clone(state)
		bad[at] ^= 1 << (at % 8)
		if _, err := h.openState(bad); !errors.Is(err, heartbeat.ErrMalformed) {
			t.Errorf("byte %d changed: %v", at, err)
		}
	}
	key := h.kMAC
	key[0] ^= 1
	other := newHeartbeat(h.field, h.kEnc, key)
	if _, err := other.openState(state); !errors.Is(err, heartbeat.ErrMalformed) {
		t.Errorf("opened with another key: %v", err)
	}
}

func TestProveRefusesLimitOfZero(t *testing.T) {
	t.Parallel()
	f := encode(t, sharedHeartbeat(t), 3000)
	noLimit := fileChallenge{l: 1, limit: new(big.Int)}.marshal()
	if _, err := f.Farmer.Prove(t.Context(), f.Content, 3000, f.Tag, noLimit); !errors.Is(err, heartbeat.ErrMalformed) {
		t.Error(err)
	}
}

func TestEncodeRefusesTooManyChunks(t *testing.T) {
	t.Parallel()
	file := filestream.New("s", 100)
	if _, err := sharedHeartbeat(t).Encode(t.Context(), file, 1<<62, io.Discard, heartbeat.EncodeOptions{}); err == nil {
		t.Error("a file of 2^62 bytes was encoded without an error")
	}
}

// This test is not parallel, because it measures the heap of the process.
func TestMemoryIsBounded(t *testing.T) {
	const size, bound = 32 << 20, 2 << 20 // the tag is 3.4 MB
	h := sharedHeartbeat(t)
	file := &heapProbe{file: filestream.New("large", size)}
	before := liveHeap()
	pipe, tag := io.Pipe()
	go func() {
		_, err := h.Encode(t.Context(), file, size, tag, heartbeat.EncodeOptions{})
		tag.CloseWithError(err)
	}()
	if err := h.WriteTagJSON(io.Discard, pipe); err != nil {
		t.Fatal(err)
	}
	if held := int64(file.live) - int64(before); file.live == 0 || held > bound {
		t.Errorf("near the end of %d bytes, %d are held", size, held)
	}
}

// heapProbe is a file that measures the heap when its last part is read.
type heapProbe struct {
	file *filestream.Reader
	once sync.Once
	live uint64
}

func (p *heapProbe) ReadAt(b []byte, offset int64) (int, error) {
	if offset+2*int64(len(b)) >= p.file.Size() {
		p.once.Do(func() { p.live = liveHeap() })
	}
	return p.file.ReadAt(b, offset)
}

func liveHeap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
