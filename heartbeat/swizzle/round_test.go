package swizzle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"runtime"
	"sync"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
)

// testHeartbeat is one for all tests, since a prime takes time to find.
var testHeartbeat = sync.OnceValues(func() (*Heartbeat, error) { return New(0.5) })

// smallHeartbeat has chunks of 2 sectors of 1 byte, so that a small file has
// many.
func smallHeartbeat(t testing.TB, fraction float64) *Heartbeat {
	t.Helper()
	h := &Heartbeat{field: field{p: big.NewInt(257), sectors: 2, sectorSize: 1}, fraction: fraction}
	again, err := Parse(h.Private(), fraction)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// encoded is a file as both sides have it.
type encoded struct {
	h          *Heartbeat
	file       *filestream.Reader
	tag, state []byte
}

func encode(t testing.TB, h *Heartbeat, size int64) encoded {
	t.Helper()
	e := encoded{h: h, file: filestream.New(fmt.Sprint("file of ", size), size)}
	var tag bytes.Buffer
	var err error
	if e.state, err = h.Encode(t.Context(), e.file, size, &tag, heartbeat.EncodeOptions{}); err != nil {
		t.Fatal(err)
	}
	e.tag = tag.Bytes()
	return e
}

func (e encoded) challenge(t testing.TB) []byte {
	t.Helper()
	challenge, next, err := e.h.Challenge(e.state)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(next, e.state) {
		t.Error("the state moved")
	}
	return challenge
}

func (e encoded) prove(t testing.TB, file io.ReaderAt, challenge []byte) []byte {
	t.Helper()
	prover := &Prover{field: e.h.field}
	proof, err := prover.Prove(t.Context(), file, e.file.Size(), e.tag, challenge)
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

func (e encoded) verify(t testing.TB, challenge, proof []byte) bool {
	t.Helper()
	valid, err := e.h.Verify(e.state, challenge, proof)
	if err != nil {
		t.Fatal(err)
	}
	return valid
}

func sharedHeartbeat(t testing.TB) *Heartbeat {
	t.Helper()
	h, err := testHeartbeat()
	if err != nil {
		t.Fatal(err)
	}
	return h
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

func TestRoundsOfOddFiles(t *testing.T) {
	t.Parallel()
	h := sharedHeartbeat(t)
	for _, size := range []int64{0, 1, 127, 128, 129, 1279, 1280, 1281, 20*1280 - 1, 20 * 1280, 20*1280 + 1, 100 * 1280} {
		e := encode(t, h, size)
		for range 2 {
			challenge := e.challenge(t)
			if !e.verify(t, challenge, e.prove(t, e.file, challenge)) {
				t.Errorf("file of %d bytes: not valid", size)
			}
		}
	}
}

func TestRoundsOfSmallPrime(t *testing.T) {
	t.Parallel()
	for size := range int64(100) {
		e := encode(t, smallHeartbeat(t, 0.3), size)
		challenge := e.challenge(t)
		if !e.verify(t, challenge, e.prove(t, e.file, challenge)) {
			t.Errorf("file of %d bytes: not valid", size)
		}
	}
}

// Primes of odd lengths, and numbers of sectors that the kernels are not made
// for.
func TestRoundsOfOddHeartbeats(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		bits    uint
		less    int64 // the prime is 2^bits - less
		sectors int
	}{{1024, 105, 1}, {1024, 105, 101}, {1023, 361, 10}, {1017, 1, 3}, {521, 1, 10}, {130, 5, 7}, {128, 159, 2}, {127, 1, 2}, {61, 1, 200}} {
		p := new(big.Int).Lsh(big.NewInt(1), test.bits)
		p.Sub(p, big.NewInt(test.less))
		f := field{p: p, sectors: test.sectors, sectorSize: int(test.bits / 8)}
		h := newHeartbeat(f, [keySize]byte{1}, [keySize]byte{2})
		h.fraction = 0.3
		for _, chunks := range []int64{0, 1, 8, 9, 70} {
			for _, size := range []int64{chunks * f.chunkSize(), chunks*f.chunkSize() + int64(f.sectorSize) + 1, (chunks+1)*f.chunkSize() - 1} {
				e := encode(t, h, size)
				challenge := e.challenge(t)
				proof := e.prove(t, e.file, challenge)
				if !e.verify(t, challenge, proof) || !naiveVerify(t, h, e.state, challenge, proof) {
					t.Errorf("2^%d-%d, %d sectors, file of %d bytes: not valid", test.bits, test.less, test.sectors, size)
				}
			}
		}
	}
}

// A mu that is not below p is as good as its remainder.
func TestNumbersAboveP(t *testing.T) {
	t.Parallel()
	e := encode(t, sharedHeartbeat(t), 3000)
	challenge := e.challenge(t)
	p, err := parseProof(e.prove(t, e.file, challenge))
	if err != nil {
		t.Fatal(err)
	}
	for j := range p.mu {
		mu := new(big.Int).SetBytes(p.mu[j])
		large := new(big.Int).Lsh(e.h.p, uint(700*j))
		p.mu[j] = mu.Add(mu, large).Bytes()
	}
	if !e.verify(t, challenge, p.marshal()) {
		t.Error("not valid")
	}
	sigma := new(big.Int).SetBytes(p.sigma)
	p.sigma = sigma.Add(sigma, e.h.p).Bytes()
	if e.verify(t, challenge, p.marshal()) {
		t.Error("with a sigma that is not reduced: valid")
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

// Every single bit of a proof counts.
func TestTamperedProof(t *testing.T) {
	t.Parallel()
	e := encode(t, sharedHeartbeat(t), 3000)
	challenge := e.challenge(t)
	proof := e.prove(t, e.file, challenge)
	for at := range proof {
		bad := bytes.Clone(proof)
		bad[at] ^= 1 << (at % 8)
		if e.verify(t, challenge, bad) {
			t.Errorf("byte %d changed: valid", at)
		}
	}
	for _, cut := range []int{0, 1, 4, len(proof) / 2, len(proof) - 1} {
		if e.verify(t, challenge, proof[:cut]) {
			t.Errorf("cut to %d bytes: valid", cut)
		}
	}
	if e.verify(t, challenge, append(bytes.Clone(proof), 0)) {
		t.Error("one byte more: valid")
	}
}

// The right equation with the wrong number of mu.
func TestNumberOfSectors(t *testing.T) {
	t.Parallel()
	e := encode(t, sharedHeartbeat(t), 3000)
	challenge := e.challenge(t)
	p, err := parseProof(e.prove(t, e.file, challenge))
	if err != nil {
		t.Fatal(err)
	}
	// The file fills 10 sectors of its first chunk, so no mu is zero.
	if p.mu = append(p.mu, nil); e.verify(t, challenge, p.marshal()) {
		t.Error("with a zero more: valid")
	}
	if p.mu = p.mu[:9]; e.verify(t, challenge, p.marshal()) {
		t.Error("with a sector less: valid")
	}
}

func TestSwappedChallenges(t *testing.T) {
	t.Parallel()
	e := encode(t, sharedHeartbeat(t), 30000)
	a, b := e.challenge(t), e.challenge(t)
	if bytes.Equal(a, b) {
		t.Fatal("two challenges are the same")
	}
	if e.verify(t, a, e.prove(t, e.file, b)) || e.verify(t, b, e.prove(t, e.file, a)) {
		t.Error("the proof of another challenge is valid")
	}
}

func TestProofOfAnotherFile(t *testing.T) {
	t.Parallel()
	e := encode(t, sharedHeartbeat(t), 3000)
	challenge := e.challenge(t)
	for at := range int64(3000) / 100 {
		content := make([]byte, 3000)
		if _, err := e.file.ReadAt(content, 0); err != nil {
			t.Fatal(err)
		}
		content[at*100] ^= 1
		if e.verify(t, challenge, e.prove(t, bytes.NewReader(content), challenge)) {
			t.Errorf("byte %d of the file changed: valid", at*100)
		}
	}
}

func TestVerifyErrors(t *testing.T) {
	t.Parallel()
	e := encode(t, sharedHeartbeat(t), 3000)
	challenge := e.challenge(t)
	proof := e.prove(t, e.file, challenge)
	none := fileChallenge{l: 0, limit: e.h.p}.marshal()
	foreign := fileChallenge{l: 3, limit: big.NewInt(257)}.marshal()
	for name, given := range map[string][2][]byte{
		"no state":                  {nil, challenge},
		"state cut short":           {e.state[:50], challenge},
		"challenge cut short":       {e.state, challenge[1:]},
		"no chunk challenged":       {e.state, none},
		"another heartbeat's prime": {e.state, foreign},
	} {
		if valid, err := e.h.Verify(given[0], given[1], proof); valid || !errors.Is(err, heartbeat.ErrMalformed) {
			t.Errorf("%s: valid %v, %v", name, valid, err)
		}
	}
	if _, _, err := e.h.Challenge(nil); !errors.Is(err, heartbeat.ErrMalformed) {
		t.Errorf("challenge without state: %v", err)
	}
}

// A state is signed: not a bit of it can change, and no other key opens it.
func TestTamperedState(t *testing.T) {
	t.Parallel()
	e := encode(t, sharedHeartbeat(t), 3000)
	for at := range e.state {
		bad := bytes.Clone(e.state)
		bad[at] ^= 1 << (at % 8)
		if _, err := e.h.openState(bad); !errors.Is(err, heartbeat.ErrMalformed) {
			t.Errorf("byte %d changed: %v", at, err)
		}
	}
	key := e.h.kMAC
	key[0] ^= 1
	other := newHeartbeat(e.h.field, e.h.kEnc, key)
	if _, err := other.openState(e.state); !errors.Is(err, heartbeat.ErrMalformed) {
		t.Errorf("opened with another key: %v", err)
	}
}

func TestProveErrors(t *testing.T) {
	t.Parallel()
	e := encode(t, sharedHeartbeat(t), 3000)
	challenge := e.challenge(t)
	prover := &Prover{field: e.h.field}
	noLimit := fileChallenge{l: 1, limit: new(big.Int)}.marshal()
	for name, given := range map[string][2][]byte{
		"no tag":              {nil, challenge},
		"tag cut short":       {e.tag[:len(e.tag)-1], challenge},
		"tag too long":        {append(bytes.Clone(e.tag), 0), challenge},
		"challenge cut short": {e.tag, challenge[:9]},
		"limit of zero":       {e.tag, noLimit},
	} {
		if _, err := prover.Prove(t.Context(), e.file, 3000, given[0], given[1]); !errors.Is(err, heartbeat.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := prover.Prove(t.Context(), e.file, 5000, e.tag, challenge); !errors.Is(err, heartbeat.ErrMalformed) {
		t.Errorf("file of another size: %v", err)
	}
	if _, err := prover.Prove(t.Context(), bytes.NewReader(nil), 3000, e.tag, challenge); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("file cut short: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := prover.Prove(ctx, e.file, 3000, e.tag, challenge); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestEncodeErrors(t *testing.T) {
	t.Parallel()
	h := sharedHeartbeat(t)
	file := filestream.New("s", 100)
	if _, err := h.Encode(t.Context(), file, -1, io.Discard, heartbeat.EncodeOptions{}); err == nil {
		t.Error("a file of -1 bytes: encoded")
	}
	if _, err := h.Encode(t.Context(), file, 1<<62, io.Discard, heartbeat.EncodeOptions{}); err == nil {
		t.Error("a file of 2^62 bytes: encoded")
	}
	if _, err := h.Encode(t.Context(), file, 101, io.Discard, heartbeat.EncodeOptions{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("file cut short: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Encode(ctx, file, 100, io.Discard, heartbeat.EncodeOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	full := errors.New("disk full")
	if _, err := h.Encode(t.Context(), file, 100, failing{full}, heartbeat.EncodeOptions{}); !errors.Is(err, full) {
		t.Errorf("tag not written: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestCheckFractionRange(t *testing.T) {
	t.Parallel()
	h := sharedHeartbeat(t)
	zero := 0.0
	for _, bad := range []float64{-0.01, 1.01, zero / zero} {
		if _, err := h.WithCheckFraction(bad); err == nil {
			t.Errorf("check fraction %v: accepted", bad)
		}
	}
}

// Not parallel: it looks at the heap of the process.
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

// heapProbe is a file that sees what is on the heap when its last part is read.
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
