package merkle

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
)

// With 100,000 cheaters the simulation takes minutes, because each of them has a
// contract with a separate root.
var cheaters = flag.Int("cheaters", 300, "the `number` of simulated cheaters of each case")

// The position that is computed without a cipher.Block must be that of the
// definition.
func TestPositionEqualsDefinition(t *testing.T) {
	t.Parallel()
	var limits []int64
	for bit := range 62 {
		limits = append(limits, 1<<bit, 1<<bit+1, 1<<bit*2-1)
	}
	var seed [seedSize]byte
	for _, positions := range limits {
		for i := range 50 {
			binary.LittleEndian.PutUint64(seed[:], uint64(i))
			if got, want := position(seed, positions), slowPosition(seed, positions); got != want {
				t.Fatalf("of %d positions: %d, want %d", positions, got, want)
			}
		}
	}
}

// contract returns the positions of all challenges of a contract. It takes the
// challenges from the real generator.
func contract(t *testing.T, size, chunk int64, challenges int, given []byte) []int64 {
	t.Helper()
	h := &Heartbeat{key: [seedSize]byte{7}}
	root, err := h.rootSeed(given, newEdges(challenges, size, chunk))
	if err != nil {
		t.Fatal(err)
	}
	state := fileState{challenges: challenges, previous: root}.marshal()
	positions := make([]int64, challenges)
	for i := range positions {
		var challenge []byte
		if challenge, state, err = h.Challenge(state); err != nil {
			t.Fatal(err)
		}
		c, err := parseChallenge(challenge)
		if err != nil {
			t.Fatal(err)
		}
		positions[i] = positionOf(c.seed, size, chunk)
	}
	return positions
}

// fails returns the index of the first challenge whose window contains a byte of
// one of the lost runs. Without one it returns math.MaxInt.
func fails(positions []int64, chunk int64, lost []span) int {
	for i, pos := range positions {
		for _, run := range lost {
			if run[0] < run[1] && pos < run[1] && pos+chunk > run[0] {
				return i
			}
		}
	}
	return math.MaxInt
}

// The worst placement must be detected as often as published, and every other
// placement at least as often. The placements share the contracts.
func TestDetectionOfSimulatedCheaters(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		size, chunk int64
		lost        float64
		challenges  int
		given       bool
	}{
		{64 << 10, 64 << 10 / 100, 0.01, 256, false},
		{1 << 20, 1 << 20 / 100, 0.01, 256, false},
		{1 << 20, 1 << 20 / 100, 0.001, 256, false},
		{4 << 20, 4 << 20 / 100, 0.01, 256, false},
		{16 << 20, 16 << 20 / 100, 0.01, 256, false},
		{16 << 20, 8192, 0.01, 256, false},
		{32 << 20, 32 << 20 / 100, 0.01, 256, true},
		{1 << 30, 8192, 0.01, 256, false},
		{10_000, 7000, 0.01, 31, false},
	} {
		t.Run(fmt.Sprintf("%v of %d, %d challenges of %d, root given %v", test.lost, test.size, test.challenges, test.chunk, test.given), func(t *testing.T) {
			t.Parallel()
			missing := lostBytes(test.size, test.lost)
			placements := map[string][]span{
				"front":      {{0, missing}},
				"back":       {{test.size - missing, test.size}},
				"both ends":  {{0, missing / 2}, {test.size - missing + missing/2, test.size}},
				"middle":     {{(test.size - missing) / 2, (test.size-missing)/2 + missing}},
				"mixed":      {{0, missing / 3}, {test.size / 3, test.size/3 + missing - 2*(missing/3)}, {test.size - missing/3, test.size}},
				"near front": {{test.chunk, test.chunk + missing}},
			}
			published := map[int]float64{}
			worst := func(k int) string { return fmt.Sprintf("worst of %d", k) }
			for _, k := range []int{1, test.challenges / 8, test.challenges / 2, test.challenges*3/4 + 1, test.challenges} {
				published[k], placements[worst(k)] = detection(test.size, test.chunk, test.lost, test.challenges, k, test.given)
			}
			caught := map[string]map[int]int{}
			for name := range placements {
				caught[name] = map[int]int{}
			}
			for i := range *cheaters {
				var given []byte
				if test.given {
					given = make([]byte, seedSize)
					binary.LittleEndian.PutUint64(given, uint64(i))
				}
				positions := contract(t, test.size, test.chunk, test.challenges, given)
				for name, lost := range placements {
					first := fails(positions, test.chunk, lost)
					for k := range published {
						if first < k {
							caught[name][k]++
						}
					}
				}
			}
			n := float64(*cheaters)
			for k, want := range published {
				tolerance := 0.01
				if n < 100_000 { // the measurement has a standard deviation of up to half its root
					tolerance = 5*math.Sqrt(want*(1-want)/n) + 5/n
				}
				for name := range placements {
					share := float64(caught[name][k]) / n
					t.Logf("%3d challenges, lost at %-12s: measured %.4f, published %.4f", k, name, share, want)
					if share < want-tolerance || name == worst(k) && share > want+tolerance {
						t.Errorf("%d challenges, lost at %s %v: %.4f were caught, published is %.4f", k, name, placements[name], share, want)
					}
				}
			}
		})
	}
}

// Positions must have the distribution of law, also in the front block.
func TestLawOfPositions(t *testing.T) {
	t.Parallel()
	const draws = 50_000
	for _, positions := range []int64{1, 3, 255, 256, 300, 3001, 64_882, 65_535, 65_536, 100_000, 16_609_444, 33_218_889, 1 << 40} {
		l := newLaw(positions)
		spans := []span{
			{0, l.spike[0]},
			l.spike,
			{l.spike[1], l.block[1]},
			{l.block[1], positions},
			{0, positions / 100},
			{positions - positions/100, positions},
			{0, (positions + 1) / 2},
		}
		counts := make([]int, len(spans))
		var seed [seedSize]byte
		for i := range draws {
			binary.LittleEndian.PutUint64(seed[:], uint64(i))
			pos := position(seed, positions)
			for j, s := range spans {
				if s.contains(pos) {
					counts[j]++
				}
			}
		}
		if whole := l.probability(span{0, positions}); math.Abs(whole-1) > 1e-9 {
			t.Errorf("%d positions have a probability of %v together", positions, whole)
		}
		for j, s := range spans {
			want := l.probability(s.and(span{0, positions}))
			got := float64(counts[j]) / draws
			if math.Abs(got-want) > 5*math.Sqrt(want*(1-want)/draws)+5.0/draws {
				t.Errorf("%v of %d positions: %.5f of the draws, want %.5f", s, positions, got, want)
			}
		}
	}
}

// The figures of Detection's comment: what the choice of roots does for losses at
// one end.
func TestLossAtOneEnd(t *testing.T) {
	t.Parallel()
	const contracts = 60
	for _, test := range []struct {
		size          int64
		lost          float64
		k             int
		front, back   float64 // published, in per cent
		randomAtFront float64
	}{
		{32 << 20, 0.01, 128, 100, 100, 72.5},
		{32 << 20, 0.01, 256, 100, 100, 92.4},
		{32 << 20, 0.001, 128, 19.0, 19.1, 12.0},
		{32 << 20, 0.001, 256, 34.4, 34.6, 22.6},
		{64 << 10, 0.01, 128, 100, 100, 72.8},
		{4 << 20, 0.01, 256, 100, 100, 85.8},
		{4 << 20, 0.001, 256, 28.0, 34.6, 17.7},
		{64 << 10, 0.001, 256, 0.4, 34.8, 0.3},
		{16 << 20, 0.01, 256, 100, 100, 92.6},
		{16 << 20, 0.001, 256, 0.4, 34.6, 0.3},
	} {
		chunk := test.size / 100
		e := newEdges(256, test.size, chunk)
		random := e
		random.front, random.back = span{}, span{}
		missing := lostBytes(test.size, test.lost)
		front, back := []span{{0, missing}}, []span{{test.size - missing, test.size}}
		for name, published := range map[string][2]float64{
			"front":                {test.front, 1 - e.miss(hits(front, test.size, chunk), test.k)},
			"back":                 {test.back, 1 - e.miss(hits(back, test.size, chunk), test.k)},
			"front, a random root": {test.randomAtFront, 1 - random.miss(hits(front, test.size, chunk), test.k)},
		} {
			if math.Abs(published[0]-100*published[1]) > 0.05 {
				t.Errorf("%v of %d lost at the %s, %d challenges: %.2f %%, want %v %%", test.lost, test.size, name, test.k, 100*published[1], published[0])
			}
		}
		if test.front < 100 {
			continue
		}
		for range contracts {
			positions := contract(t, test.size, chunk, 256, nil)
			for _, half := range [][]int64{positions[:128], positions[128:]} {
				for _, lost := range [][]span{front, back} {
					if fails(half, chunk, lost) == math.MaxInt {
						t.Fatalf("bytes %v are lost, and no challenge of a half fails", lost)
					}
				}
			}
		}
	}
}

// With 256 challenges, no zone may be larger than 1 % of the file, so that a loss of
// 1 % at one end is always found. Encode must not have to examine many roots.
func TestZonesAreSmallAndProbable(t *testing.T) {
	t.Parallel()
	for size := int64(1); size < 1<<45; size += 1 + size/97 {
		for _, chunk := range []int64{chunkSize(new(0.01), size), chunkSize(nil, size), size - size/3} {
			e := newEdges(DefaultChallenges, size, chunk)
			if missing := lostBytes(size, 0.01); e.front.size() > missing || e.back.size() > missing {
				t.Errorf("windows of %d of %d bytes: zones of %d and %d positions, a loss of 1 %% has %d", chunk, size, e.front.size(), e.back.size(), missing)
			}
			if half := e.accepted(nil, 0, e.half()); half < 0.33 {
				t.Errorf("windows of %d of %d bytes: a half is accepted with %.3f", chunk, size, half)
			}
		}
	}
}

// Roots must be found for every number of challenges and positions, with every
// kernel.
func TestEveryFileHasARoot(t *testing.T) {
	for _, test := range []struct {
		size, chunk int64
		challenges  int
	}{{0, 0, 1}, {1, 1, 256}, {2, 1, 1}, {2, 1, 2}, {3, 1, 3}, {100, 32, 5}, {1 << 50, 8192, 7}, {4096, 32, 5000}, {64 << 10, 655, 5000}, {16 << 20, 8192, 2000}} {
		e := newEdges(test.challenges, test.size, test.chunk)
		key := [seedSize]byte{3}
		seed := e.root(key)
		var front, back int
		for i := range test.challenges {
			if seed = nextSeed(key, seed); i == e.half() {
				front, back = 0, 0
			}
			pos := position(seed, e.positions)
			if e.front.contains(pos) {
				front++
			}
			if e.back.contains(pos) {
				back++
			}
			if (i+1 == e.half() || i+1 == test.challenges) && (front == 0 || back == 0) {
				t.Errorf("%+v: a half covers the front %d times and the back %d times", test, front, back)
			}
		}
	}
}

func TestTargetChoosesTheSmallestWindow(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{0, 1, 40, 1 << 10, 1 << 20, 1 << 40} {
		for _, target := range []heartbeat.Target{
			{Lost: 0.01, Probability: 0.99, Challenges: 12},
			{Lost: 0.01, Probability: 0.99, Challenges: 256},
			{Lost: 1, Probability: 0.999999, Challenges: 1},
		} {
			h, err := (&Heartbeat{}).WithTarget(target)
			if err != nil {
				t.Fatal(err)
			}
			chunk := h.chunkOf(size, 256, heartbeat.EncodeOptions{})
			published := h.Detection(size, target.Lost, target.Challenges, heartbeat.EncodeOptions{})
			if size > 0 && published < target.Probability {
				t.Errorf("%+v, %d bytes: windows of %d bytes detect %v", target, size, chunk, published)
			}
			if less, _ := detection(size, chunk-1, target.Lost, 256, target.Challenges, false); chunk > leastChunk && less >= target.Probability {
				t.Errorf("%+v, %d bytes: windows of %d bytes are larger than necessary", target, size, chunk)
			}
		}
	}
}
