package merkle

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
	"sync"

	"github.com/driveshare/downstream-node/heartbeat"
)

// Detection implements heartbeat.Heartbeat. It returns the exact probability for
// the worst of about two hundred placements of the lost bytes.
//
// A challenge fails if its position is one of the hits H: those whose windows
// contain a lost byte. Each seed is the key of its own pseudorandom function, so
// positions are independent. If opt gives the root seed, the probability is
// 1-(1-P(H))^k, where P is the law of positions. Otherwise Encode accepts only roots
// with a window in the front zone F and one in the back zone B in each half; see
// edges. The probability that a half of n challenges is accepted, and has no hit
// among its first k, is then
//
//	sum over T in {none, F, B, F and B} of (-1)^|T| * (1-P(H+T))^k * (1-P(T))^(n-k)
//
// by inclusion and exclusion, where H+T is the union of the positions. Divided by
// the same sum with k = 0, it is the probability of the miss. The halves are
// independent.
//
// The placements are a run at the front, a run at the back, and the rest in one run
// in the middle, in various ratios. No placement has fewer hits. For let a file of s
// bytes have windows of c bytes, and let the window at w contain none of the g lost
// bytes. A lost byte b < w hits the position b, and a lost byte b >= w+c the position
// b-c+1. These positions differ, so there are at least g hits, or all s-c+1 positions.
// There are exactly g if the lost bytes are at the ends. One run elsewhere has c-1
// more, and further runs have c-1 more each, unless they are so close that each byte
// between them counts. What differs between positions is their probability: it is
// less before the spike of the law, so there is a run at the front that ends there,
// and a run in the middle that starts behind the spike. It is more in the zones, so
// lost bytes there are detected sooner.
//
// With the default of 256 challenges and windows of 1 % of the file, a farmer who
// lost 1 % at one end fails in each half, whatever the size. These are the figures
// for all 256 challenges, in per cent, with a chosen and with a random root:
//
//	file             lost    front, random    back, random
//	32 MiB           1 %     100    92.4      100   92.6
//	32 MiB           0.1 %   34.4   22.6      34.6  22.8
//	4 MiB            1 %     100    85.8      100   92.6
//	4 MiB            0.1 %   28.0   17.7      34.6  22.8
//	64 KiB, 16 MiB   1 %     100    92.6      100   92.6
//	64 KiB, 16 MiB   0.1 %   0.4    0.3       34.6  22.8
//
// The front of some files is covered rarely because of the law of positions. The
// choice takes windows from the middle. That matters only if windows are much smaller
// than the loss: if 1 % of 1 GiB is lost in the middle and windows have 8192 bytes,
// 92.2 % fail, and 92.6 % with a random root.
func (h *Heartbeat) Detection(size int64, lost float64, k int, opt heartbeat.EncodeOptions) float64 {
	challenges := cmp.Or(opt.Challenges, DefaultChallenges)
	chunk := h.chunkOf(size, challenges, opt)
	detected, _ := detection(size, chunk, lost, challenges, k, len(opt.RootSeed) != 0)
	return detected
}

// detection returns the probability, and the lost runs of bytes that it is for.
func detection(size, chunk int64, lost float64, challenges, k int, given bool) (least float64, worst []span) {
	missing := lostBytes(size, lost)
	if missing <= 0 || chunk <= 0 || k <= 0 {
		return 0, nil
	}
	rule := newEdges(challenges, size, chunk)
	if given {
		rule.front, rule.back = span{}, span{}
	}
	k = min(k, challenges)
	least = 2
	for _, runs := range rule.placements(size, chunk, missing) {
		if d := 1 - rule.miss(hits(runs, size, chunk), k); d < least {
			least, worst = d, runs
		}
	}
	return least, worst
}

// lostBytes returns the least number of bytes that is the fraction lost of size
// bytes.
func lostBytes(size int64, lost float64) int64 {
	return min(int64(math.Ceil(lost*float64(size))), size)
}

// placements returns the placements of the lost bytes that can be the worst.
func (e edges) placements(size, chunk, missing int64) (all [][]span) {
	const parts = 8
	fronts := []int64{min(e.spike[0], missing), min(e.front.size(), missing)}
	for i := range int64(parts + 1) {
		fronts = append(fronts, missing/parts*i+missing%parts*i/parts)
	}
	for _, front := range fronts {
		rest := missing - front
		for i := range int64(parts + 1) {
			back := rest/parts*i + rest%parts*i/parts
			middle := rest - back
			for _, start := range []int64{(size - middle) / 2, e.spike[1] + chunk - 1, e.front[1] + chunk - 1} {
				if start >= front && start+middle <= size-back {
					all = append(all, []span{{0, front}, {start, start + middle}, {size - back, size}})
				}
				if middle == 0 {
					break
				}
			}
		}
	}
	return all
}

// hits returns the positions whose windows contain a byte of one of the lost runs.
func hits(runs []span, size, chunk int64) (positions []span) {
	for _, run := range runs {
		if run.size() > 0 {
			positions = append(positions, span{run[0] - chunk + 1, run[1]}.and(span{0, size - chunk + 1}))
		}
	}
	return positions
}

// miss returns the probability that no position of the first k challenges is one of
// hits.
func (e edges) miss(hits []span, k int) float64 {
	miss := 1.0
	for _, n := range e.halves() {
		some := min(k, n)
		k -= some
		miss *= e.accepted(hits, some, n) / e.accepted(nil, 0, n)
	}
	return min(max(miss, 0), 1)
}

// accepted returns the probability that the windows of a half with n challenges
// obey the rule, and that none of the first k positions is one of hits.
func (e edges) accepted(hits []span, k, n int) (sum float64) {
	if e.front.size() == 0 {
		return e.avoids(hits, k)
	}
	for _, term := range []struct {
		sign  float64
		zones []span
	}{{1, nil}, {-1, []span{e.front}}, {-1, []span{e.back}}, {1, []span{e.front, e.back}}} {
		sum += term.sign * e.avoids(slices.Concat(hits, term.zones), k) * e.avoids(term.zones, n-k)
	}
	return sum
}

// avoids returns the probability that n independent positions are in none of the
// spans.
func (e edges) avoids(spans []span, n int) float64 {
	covered := 0.0
	end := int64(0)
	for _, s := range slices.SortedFunc(slices.Values(spans), func(a, b span) int { return cmp.Compare(a[0], b[0]) }) {
		if s[1] > end {
			covered += e.probability(span{max(s[0], end), s[1]})
			end = s[1]
		}
	}
	return math.Pow(max(1-covered, 0), float64(n))
}

// WithTarget returns a heartbeat with the same key whose windows are as large as
// target needs. The windows of a file for which EncodeOptions sets no size are then
// the smallest with which Detection reaches the target's probability. There are
// always such windows: those of the whole file.
func (h *Heartbeat) WithTarget(target heartbeat.Target) (*Heartbeat, error) {
	if err := target.Check(); err != nil {
		return nil, fmt.Errorf("merkle: %w", err)
	}
	other := *h
	other.plan = &plan{Target: target}
	return &other, nil
}

// plan holds the windows that a target needs. It is safe for concurrent use.
type plan struct {
	heartbeat.Target
	chosen sync.Map // from planned to the number of bytes in a window
}

// planned is what the size of a window depends on.
type planned struct {
	size       int64
	challenges int
	given      bool
}

// chunk returns the number of bytes in the windows of a file.
func (p *plan) chunk(f planned) int64 {
	if chunk, ok := p.chosen.Load(f); ok {
		return chunk.(int64)
	}
	least := min(leastChunk, f.size)
	chunk := least + int64(sort.Search(int(f.size-least), func(i int) bool {
		detected, _ := detection(f.size, least+int64(i), p.Lost, f.challenges, p.Challenges, f.given)
		return detected >= p.Probability
	}))
	p.chosen.Store(f, chunk)
	return chunk
}

// chunkOf returns the number of bytes that one challenge covers in a file of size
// bytes.
func (h *Heartbeat) chunkOf(size int64, challenges int, opt heartbeat.EncodeOptions) int64 {
	switch {
	case opt.ChunkSize != nil:
		return min(*opt.ChunkSize, size)
	case h.plan != nil:
		return h.plan.chunk(planned{size, challenges, len(opt.RootSeed) != 0})
	}
	return chunkSize(h.fraction, size)
}
