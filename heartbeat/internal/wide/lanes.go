package wide

import (
	"encoding/binary"
	"math/big"
)

const (
	// numberSize is the bytes of the numbers that lanes hold.
	numberSize = 128
	laneCount  = 8

	limbBits  = 52
	limbMask  = 1<<limbBits - 1
	limbCount = 20 // for 1040 bits
	rBits     = limbBits * limbCount

	// maxTerms is how many products a column holds. Each adds to it the lower
	// halves of at most 20 products of limbs and the upper halves of as many,
	// which is less than 40*2^52, so that 100 and what carry leaves, or what
	// reduce adds, come to less than (100*40 + 41) * 2^52 < 2^64.
	maxTerms = 100
)

type (
	// lanes are eight numbers below 2^1040: lanes[i][k] is bits 52i to 52i+51
	// of number k.
	lanes = [limbCount][laneCount]uint64

	// columns are eight sums of products, number k being the sum of
	// columns[i][k] << 52i.
	columns = [2 * limbCount][laneCount]uint64

	// modulus is an odd p in limbs, and after them -1/p mod 2^52.
	modulus = [limbCount + 1]uint64
)

// first is the mask of that many lanes.
func first(count int) uint8 { return 1<<count - 1 }

// carry makes every column but the last less than 2^52.
func carry(sum *columns) {
	for i := range len(sum) - 1 {
		for k := range laneCount {
			sum[i+1][k] += sum[i][k] >> limbBits
			sum[i][k] &= limbMask
		}
	}
}

// total sets sum to what carry leaves of it, and gives the eight together.
func total(sum *columns) *big.Int {
	carry(sum)
	var limbs [2*limbCount + 2]uint64
	for i := range sum {
		for _, v := range sum[i] {
			limbs[i] += v
		}
	}
	for i := range len(limbs) - 1 {
		limbs[i+1] += limbs[i] >> limbBits
		limbs[i] &= limbMask
	}
	// Two limbs are 13 bytes.
	var b [len(limbs) / 2 * 13]byte
	for i := 0; i < len(limbs); i += 2 {
		end := len(b) - i/2*13
		binary.BigEndian.PutUint64(b[end-8:], limbs[i]|limbs[i+1]<<limbBits)
		high := limbs[i+1] >> (64 - limbBits)
		b[end-9], b[end-10], b[end-11], b[end-12], b[end-13] = byte(high), byte(high>>8), byte(high>>16), byte(high>>24), byte(high>>32)
	}
	return new(big.Int).SetBytes(b[:])
}

// newModulus takes an odd p below 2^1040.
func newModulus(p *big.Int) *modulus {
	var m modulus
	rest, limb := new(big.Int).Set(p), new(big.Int)
	for i := range limbCount {
		m[i] = limb.And(rest, big.NewInt(limbMask)).Uint64()
		rest.Rsh(rest, limbBits)
	}
	// Newton's iteration doubles the bits that are right: p*p = 1 mod 8.
	inverse := m[0]
	for range 5 {
		inverse *= 2 - m[0]*inverse
	}
	m[limbCount] = -inverse & limbMask
	return &m
}
