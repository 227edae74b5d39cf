package merkle

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"math"
	"math/bits"
	"sort"
)

// edges describes which root seeds Encode accepts. Windows cover the ends of a file
// more rarely than its middle: only one position covers the first byte, but as many
// positions as a window has bytes cover a byte in the middle. So Encode draws root
// seeds until, in each half of the challenges, at least one window starts in the
// front zone and at least one in the back zone. The zones are the first and the last
// positions of a file. A farmer who has lost as many bytes at an end as its zone has
// positions then fails in each half.
//
// A window is in a zone with a probability of about 2/challenges, which is 0.78 % for
// 256 challenges. A half then obeys the rule with a probability of 0.33 to 0.4, whatever
// the number of challenges, so Encode examines six to nine roots. Most of them fail
// after one half. Together this is 4 to 7 positions for each challenge, and rarely
// more than 20. This takes 0.4 ms. A file of 32 MiB takes 1.01 times as long to encode
// as with a given root, one of 1 MiB 1.4 times, and one of 10 KiB 2.9 times
// (BenchmarkRoot).
//
// The choice does not help a farmer to predict windows. An accepted root is
// uniformly distributed among at least a tenth of all roots, so it has more than 252
// bits of entropy, and the seeds are HMACs with the secret key, as before. A farmer
// knows that both ends are covered in each half, but not by which challenge. When an
// end is covered, the remaining windows of the half are at this end about as often
// as if there were no choice, except for the one window that the other end may still
// need. So it does not pay to drop an end after a window has covered it.
type edges struct {
	law
	front, back span // the zones; empty if Encode does not choose
	challenges  int
}

// newEdges returns the rule for files with this number of challenges.
func newEdges(challenges int, size, chunk int64) edges {
	e := edges{law: newLaw(size - chunk + 1), challenges: challenges}
	wanted := min(2/float64(challenges), 1)
	reach := int64(math.Ceil(wanted * float64(e.positions)))
	e.back = span{e.positions - reach, e.positions}
	// The first positions are less probable, so the front zone is larger: up to a
	// quarter, so that 256 challenges still catch a loss of 1 %. If that is not enough, it
	// is as large as necessary, because Encode must find a root.
	most := max(int64(1.25*wanted*float64(e.positions)), reach)
	if e.probability(span{0, most}) < wanted/2 {
		most = e.positions
	}
	reach += int64(sort.Search(int(most-reach), func(i int) bool { return e.probability(span{0, reach + int64(i)}) >= wanted-1e-12 }))
	e.front = span{0, reach}
	return e
}

// law is the probability distribution of a window's position, which KeyedPRF of
// PROTOCOL.md, section 4, draws. It is almost uniform. The exception is a first byte
// of 0, before it is masked. The cipher's register is then 0 for the second byte too,
// so this byte is always the exclusive or of the first two bytes of the digest of
// "0", 0xb3. So the positions below block lack the share that belongs to other second
// bytes, and the positions of spike have it.
//
// With n bytes in a position, the probability of one position is
//
//	1/positions - 2^-8n (if below block) + 2^-8(n-1) (if in spike).
//
// If the first byte is not masked, because the number of positions is just below
// 2^8n, hardly any window starts before spike. In files of 16 MiB with windows of 1 %,
// these are the first 0.27 % of the bytes.
type law struct {
	positions    int64
	block, spike span
	less, more   float64 // what each position of block lacks, and each of spike has in addition
}

func newLaw(positions int64) law {
	n := (bits.Len64(uint64(positions)) + 7) / 8
	l := law{positions: positions}
	if n < 2 {
		return l
	}
	unit := int64(1) << (8 * (n - 2))
	second := int64(zeroDigest[0] ^ zeroDigest[1])
	l.block = span{0, 256 * unit}
	l.spike = span{second * unit, (second + 1) * unit}
	l.less, l.more = math.Ldexp(1, -8*n), math.Ldexp(1, -8*(n-1))
	return l
}

// probability returns the probability that a position is in s.
func (l law) probability(s span) float64 {
	return float64(s.size())/float64(l.positions) - float64(s.and(l.block).size())*l.less + float64(s.and(l.spike).size())*l.more
}

// span is the numbers from the first one on, and before the second.
type span [2]int64

func (s span) size() int64           { return max(s[1]-s[0], 0) }
func (s span) and(other span) span   { return span{max(s[0], other[0]), min(s[1], other[1])} }
func (s span) contains(n int64) bool { return s[0] <= n && n < s[1] }

// half returns the number of challenges in the first half. Fewer than four
// challenges have no halves: one window alone is hardly ever at both ends.
func (e edges) half() int {
	if e.challenges < 4 {
		return e.challenges
	}
	return e.challenges / 2
}

// halves returns the number of challenges in each half.
func (e edges) halves() []int {
	if e.half() == e.challenges {
		return []int{e.challenges}
	}
	return []int{e.half(), e.challenges - e.half()}
}

// root draws root seeds until one of them obeys the rule. If a root fails, its
// latest seed becomes the next root.
func (e edges) root(key [seedSize]byte) [seedSize]byte {
	var seed [seedSize]byte
	rand.Read(seed[:])
	mac := hmac.New(sha256.New, key[:])
	for {
		root := seed
		accepted := true
		for _, n := range e.halves() {
			front, back := false, false
			for range n {
				mac.Reset()
				mac.Write(seed[:])
				mac.Sum(seed[:0])
				pos := position(seed, e.positions)
				front = front || e.front.contains(pos)
				back = back || e.back.contains(pos)
			}
			if accepted = front && back; !accepted {
				break
			}
		}
		if accepted {
			return root
		}
	}
}
