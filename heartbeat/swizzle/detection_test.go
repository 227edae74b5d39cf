package swizzle

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
)

// With 100,000 cheaters the tests take 20 seconds, and also try the largest files.
var cheaters = flag.Int("cheaters", 3000, "the `number` of simulated cheaters of each case")

// simulation issues challenges with the real generator, for files of n chunks.
type simulation struct {
	scratch
	n, l   uint32
	at     []uint32
	lost   []bool
	random *rand.Rand
}

func newSimulation(n, l uint32) *simulation {
	return &simulation{
		n: n, l: l, at: make([]uint32, l), lost: make([]bool, n),
		random: rand.New(rand.NewPCG(uint64(n), uint64(l))),
	}
}

// caught issues k challenges with random keys, and reports whether one of them names
// a lost chunk.
func (s *simulation) caught(k int) bool {
	for range k {
		var key [keySize]byte
		for i := range 4 {
			binary.LittleEndian.PutUint64(key[8*i:], s.random.Uint64())
		}
		if s.l >= s.n {
			return true
		}
		s.drawPositions(s.at, &key, s.n)
		for _, chunk := range s.at {
			if s.lost[chunk] {
				return true
			}
		}
	}
	return false
}

// share returns the share of the cheaters that are caught. lose marks the chunks that
// a cheater has lost.
func (s *simulation) share(count, k int, lose func()) float64 {
	caught := 0
	for range count {
		clear(s.lost)
		lose()
		if s.caught(k) {
			caught++
		}
	}
	return float64(caught) / float64(count)
}

// loseRandom marks random chunks.
func (s *simulation) loseRandom(count int64) {
	for count > 0 {
		if c := s.random.Uint32N(s.n); !s.lost[c] {
			s.lost[c] = true
			count--
		}
	}
}

// lose marks the given chunks.
func (s *simulation) lose(chunks []uint32) {
	for _, c := range chunks {
		s.lost[c] = true
	}
}

// loseRun marks consecutive chunks.
func (s *simulation) loseRun(first uint32, count int64) {
	for i := range uint32(count) {
		s.lost[first+i] = true
	}
}

func lostChunks(h *Heartbeat, size int64, lost float64) int64 {
	return int64(math.Ceil(math.Ceil(lost*float64(size)) / float64(h.chunkSize())))
}

// Cheaters who lost random chunks must be caught as often as published. Those who
// lost one run of chunks must be caught about as often.
func TestDetectionOfSimulatedCheaters(t *testing.T) {
	t.Parallel()
	h, err := sharedHeartbeat(t).WithCheckFraction(DefaultCheckFraction)
	if err != nil {
		t.Fatal(err)
	}
	for _, lost := range []struct{ fraction, run float64 }{{0.001, 0.04}, {0.01, 0.04}, {0.1, 0.25}} {
		for _, size := range []int64{20 << 10, 64 << 10, 64*1280 - 1, 256 << 10, 1 << 20, 32 << 20} {
			t.Run(fmt.Sprintf("%v of %d", lost.fraction, size), func(t *testing.T) {
				t.Parallel()
				n := uint32(h.chunks(size))
				s := newSimulation(n, h.challenged(n))
				m := lostChunks(h, size, lost.fraction)
				compare := func(name string, k int, tolerance float64, lose func()) {
					published := h.Detection(size, lost.fraction, k, heartbeat.EncodeOptions{})
					if published > 0.9999 {
						return // almost every cheater is caught by the first challenges
					}
					measured := s.share(*cheaters, k, lose)
					t.Logf("%2d challenges, %s: measured %.4f, published %.4f", k, name, measured, published)
					if *cheaters < 100_000 { // add five standard deviations of the measurement
						tolerance += 5 * math.Sqrt(published*(1-published)/float64(*cheaters))
					}
					if math.Abs(measured-published) > tolerance {
						t.Errorf("%d challenges, %s: %.4f were caught, published is %.4f", k, name, measured, published)
					}
				}
				for _, k := range []int{1, 19} {
					compare("random chunks", k, 0.01, func() { s.loseRandom(m) })
				}
				for name, first := range map[string]uint32{"start": 0, "middle": n / 2, "end": n - 1 - uint32(m)} {
					compare("a run at the "+name, 1, lost.run, func() { s.loseRun(first, m) })
				}
			})
		}
	}
}

// knowing returns count chunks that a farmer chooses who knows the digests: one by
// one the chunk that adds the fewest masks with which a challenge is failed.
func (s *simulation) knowing(count int64) []uint32 {
	mask := uint32(1)<<bits.Len32(s.n) - 1
	var numbers []uint32
	for _, digest := range digestsFrom(0, make([][sha256x.Size]byte, s.l)) {
		var number uint32
		for _, b := range digest[:(bits.Len32(s.n)+7)/8] {
			number = number<<8 | uint32(b)
		}
		numbers = append(numbers, number&mask)
	}
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	failed, lost := make([]bool, mask+1), map[uint32]bool{}
	var chunks []uint32
	for range count {
		best, least := uint32(0), math.MaxInt
		for chunk := range s.n {
			more := 0
			for _, number := range numbers {
				if !failed[chunk^number] {
					more++
				}
			}
			if more < least && !lost[chunk] {
				best, least = chunk, more
			}
		}
		for _, number := range numbers {
			failed[best^number] = true
		}
		lost[best] = true
		chunks = append(chunks, best)
	}
	return chunks
}

// A target must also be reached if the farmer knows which pattern the positions have.
func TestFarmerWhoKnowsTheDigests(t *testing.T) {
	t.Parallel()
	target := heartbeat.Target{Lost: 0.01, Probability: 0.99, Challenges: 12}
	h, err := sharedHeartbeat(t).WithTarget(target)
	if err != nil {
		t.Fatal(err)
	}
	sizes := []int64{128 << 10, 256 << 10, 1 << 20}
	if *cheaters >= 100_000 {
		sizes = append(sizes, 4<<20, 32<<20)
	}
	for _, size := range sizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			n := uint32(h.chunks(size))
			s := newSimulation(n, h.challenged(n))
			m := lostChunks(h, size, target.Lost)
			chunks := s.knowing(m)
			measured := s.share(*cheaters, 1, func() { s.lose(chunks) })
			published := h.Detection(size, target.Lost, 1, heartbeat.EncodeOptions{})
			within := 1 - math.Pow(1-measured, float64(target.Challenges))
			t.Logf("%d of %d chunks: measured %.4f, published %.4f, within %d challenges %.4f; a challenge counts as %.2f",
				s.l, n, measured, published, target.Challenges, within, math.Log(1-measured)/math.Log(1-published))
			if within < target.Probability {
				t.Errorf("the farmer is caught with %.4f, want %v", within, target.Probability)
			}
		})
	}
}

func TestTargetChoosesEnoughChunks(t *testing.T) {
	t.Parallel()
	for _, target := range []heartbeat.Target{
		{Lost: 0.01, Probability: 0.99, Challenges: 12},
		{Lost: 0.001, Probability: 0.9, Challenges: 1},
		{Lost: 1, Probability: 0.99999, Challenges: 1},
		{Lost: 1e-9, Probability: 0.99999, Challenges: 256},
	} {
		h, err := sharedHeartbeat(t).WithTarget(target)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int64{1, 1279, 1280, 20 << 10, 1 << 20, 33_000_000} {
			n := uint32(h.chunks(size))
			l := h.challenged(n)
			if got := h.Detection(size, target.Lost, target.Challenges, heartbeat.EncodeOptions{}); got < target.Probability || l > n {
				t.Errorf("%+v, %d bytes: %d of %d chunks detect %v", target, size, l, n, got)
			}
			m := max(int64(math.Ceil(target.Lost*float64(n-1))), 1)
			if l > leastChunks && l < n && 1-math.Pow(missed(n, l/allowance-1, m), float64(target.Challenges)) >= target.Probability {
				t.Errorf("%+v, %d bytes: %d of %d chunks are more than needed", target, size, l, n)
			}
		}
	}
	for _, bad := range []heartbeat.Target{{}, {Lost: 1, Probability: 1, Challenges: 1}, {Lost: math.NaN(), Probability: 0.5, Challenges: 1}, {Lost: 2, Probability: 0.5, Challenges: 1}, {Lost: 0.5, Probability: 0.5}} {
		if _, err := sharedHeartbeat(t).WithTarget(bad); err == nil {
			t.Errorf("%+v is valid", bad)
		}
	}
}

// The default covers 16 chunks of a small file. It detects 1 % with 95 % only after
// 19 challenges.
func TestDefaultOfSmallFiles(t *testing.T) {
	t.Parallel()
	h, err := sharedHeartbeat(t).WithCheckFraction(DefaultCheckFraction)
	if err != nil {
		t.Fatal(err)
	}
	size := int64(1279 * 1280)
	before, after := h.Detection(size, 0.01, 17, heartbeat.EncodeOptions{}), h.Detection(size, 0.01, 19, heartbeat.EncodeOptions{})
	t.Logf("17 challenges %.4f, 19 challenges %.4f", before, after)
	if after < 0.95 || before >= 0.96 {
		t.Errorf("17 challenges detect %.4f, 19 detect %.4f", before, after)
	}
}
