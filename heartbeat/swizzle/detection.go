package swizzle

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
	"sort"
	"sync"

	"github.com/driveshare/downstream-node/heartbeat"
)

// Detection implements heartbeat.Heartbeat. A farmer who has lost a number of bytes
// has lost at least so many chunks as hold these bytes. Detection assumes the
// fewest, which is the worst for the node. A proof is invalid if the challenge names
// one of these chunks, except with the negligible probability 1/p. It ignores opt.
//
// The keys of challenges are independent, so the probability for k challenges is
// 1-miss^k. If a challenge of l chunks names u different chunks of n, and m of these
// n are lost, the probability of a miss is hypergeometric:
//
//	miss = C(n-u, m) / C(n, m), the mean over u
//
// A challenge of n chunks names all of them. A smaller one often names a chunk
// twice, so u is below l. The law of u follows from the function of PROTOCOL.md,
// section 5, which is not a random function: position i is the digest of i, masked
// with one number that all positions of a challenge share, and with the next such
// number if the result is not below n. So positions with equal digests are
// always equal, and those with one mask and different digests always differ.
// Detection takes u from up to 1024 challenges of the real generator, which makes the
// result exact to about 0.003.
//
// The formula is exact for lost chunks that were chosen without regard to the
// digests, such as random ones. The chunks that are named with one mask are a
// shifted copy of one set that everyone knows. So the probability of one challenge
// is another one for lost chunks that form a pattern. For one run of chunks at a
// given place, it differs by up to 0.04 if 1 % is lost, and by up to 0.22 if 10 % is
// lost. A farmer who computes with the digests can do more. To find the worst chunks
// for the node means to find the set with the smallest sumset, and there is no
// formula for it. The search in TestFarmerWhoKnowsTheDigests adds chunk by chunk the
// one that causes the fewest misses. For the chunks that it finds, a challenge is
// worth 0.64 to 0.81 challenges of the formula. WithTarget allows for a farmer for
// whom a challenge is worth half.
func (h *Heartbeat) Detection(size int64, lost float64, k int, _ heartbeat.EncodeOptions) float64 {
	n, err := h.checkSize(size)
	if err != nil || k <= 0 {
		return 0
	}
	bytes := min(int64(math.Ceil(lost*float64(size))), size)
	chunks := (bytes + h.chunkSize() - 1) / h.chunkSize()
	return 1 - math.Pow(missed(n, h.challenged(n), max(chunks, 0)), float64(k))
}

// missed returns the probability that a challenge of l chunks names none of the lost
// chunks of a file of n chunks.
func missed(n, l uint32, lost int64) float64 {
	if lost == 0 {
		return 1
	}
	if l >= n {
		return 0
	}
	samples := min(max(1<<16/int(max(l, 1)), 1), 1024)
	at := make([]uint32, l)
	var (
		s   scratch
		key [keySize]byte
		sum float64
	)
	for i := range samples {
		binary.LittleEndian.PutUint64(key[:], uint64(i))
		s.drawPositions(at, &key, n)
		slices.Sort(at)
		sum += avoided(int64(n), int64(len(slices.Compact(at))), lost)
	}
	return sum / float64(samples)
}

// drawPositions sets at to the positions of the first chunks that a challenge with
// this key names, if it does not name all n chunks.
func (s *scratch) drawPositions(at []uint32, key *[keySize]byte, n uint32) {
	s.positions.set(key, new(big.Int).SetUint64(uint64(n)))
	first := uint32(0)
	for part := range slices.Chunk(at, batch) {
		s.positions.draw(s.numbers[:], digestsFrom(first, s.digests[:len(part)]))
		readPositions(part, s.numbers[:], s.positions.size())
		first += uint32(len(part))
	}
}

// avoided returns C(n-u, m) / C(n, m).
func avoided(n, u, m int64) float64 {
	if u+m > n {
		return 0
	}
	logFactorial := func(x int64) float64 {
		y, _ := math.Lgamma(float64(x) + 1)
		return y
	}
	return math.Exp(logFactorial(n-u) - logFactorial(n-u-m) + logFactorial(n-m) - logFactorial(n))
}

// plan holds the numbers of chunks that a target needs. It is safe for concurrent
// use.
type plan struct {
	heartbeat.Target
	chosen sync.Map // from the number of a file's chunks to that of a challenge's
}

// allowance is how many times as many chunks a challenge of a target names as the
// formula of Detection demands, because a farmer may know the digests.
const allowance = 2

// challenged returns the number of chunks in a challenge of a file of n chunks.
func (p *plan) challenged(n uint32) uint32 {
	if l, ok := p.chosen.Load(n); ok {
		return l.(uint32)
	}
	lost := max(int64(math.Ceil(p.Lost*float64(n-1))), 1)
	reached := func(l uint32) bool {
		return 1-math.Pow(missed(n, l, lost), float64(p.Challenges)) >= p.Probability
	}
	least := uint32(1)
	for least < n/allowance && !reached(least) {
		least = min(2*least, n/allowance)
	}
	below := least / 2
	least = below + uint32(sort.Search(int(least-below), func(i int) bool { return reached(below + uint32(i)) }))
	l := uint32(min(uint64(max(allowance*least, leastChunks)), uint64(n)))
	if least >= n/allowance {
		l = n
	}
	p.chosen.Store(n, l)
	return l
}

// WithTarget returns a heartbeat with the same keys whose challenges name as many
// chunks as target needs. Detection reaches the target's probability with half as
// many. If more than half of the chunks are needed, a challenge names all of them.
func (h *Heartbeat) WithTarget(target heartbeat.Target) (*Heartbeat, error) {
	if err := target.Check(); err != nil {
		return nil, fmt.Errorf("swizzle: %w", err)
	}
	other := *h
	other.plan = &plan{Target: target}
	return &other, nil
}

// challenged returns how many of n chunks a challenge covers.
func (h *Heartbeat) challenged(n uint32) uint32 {
	if h.plan != nil {
		return h.plan.challenged(n)
	}
	return challenged(h.fraction, n)
}
