package wide

import (
	"encoding/binary"
	"math/big"
)

const (
	numberSize = 128 // number of bytes in a number that lanes hold
	laneCount  = 8

	limbBits  = 52
	limbMask  = 1<<limbBits - 1
	limbCount = 20 // for 1040 bits
	rBits     = limbBits * limbCount

	// maxTerms is the number of terms that columns can hold without a carry. One
	// term adds at most 20 lower halves and 20 upper halves of products of limbs to
	// a column, together less than 40*2^52. A carry leaves less than 41*2^52 in a
	// column, and reduce adds less than 41*2^52. So a column stays below (100*40 +
	// 41) * 2^52 < 2^64.
	maxTerms = 100
)

type (
	// lanes holds eight numbers below 2^1040: lanes[i][k] is bits 52i to 52i+51
	// of number k.
	lanes = [limbCount][laneCount]uint64

	// columns holds eight sums of products: sum k is the sum over i of
	// columns[i][k] << 52i.
	columns = [2 * limbCount][laneCount]uint64

	// modulus holds the limbs of an odd p, and then -1/p mod 2^52.
	modulus = [limbCount + 1]uint64
)

// first returns the mask of the first count lanes.
func first(count int) uint8 { return 1<<count - 1 }

// carry moves the upper bits of each column to the next column. Afterwards every
// column except for the last is less than 2^52.
func carry(sum *columns) {
	for i := range len(sum) - 1 {
		for k := range laneCount {
			sum[i+1][k] += sum[i][k] >> limbBits
			sum[i][k] &= limbMask
		}
	}
}

// total propagates the carries in sum. It returns the total of the eight sums.
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
	// Two limbs fill 13 bytes.
	var b [len(limbs) / 2 * 13]byte
	for i := 0; i < len(limbs); i += 2 {
		end := len(b) - i/2*13
		binary.BigEndian.PutUint64(b[end-8:], limbs[i]|limbs[i+1]<<limbBits)
		high := limbs[i+1] >> (64 - limbBits)
		b[end-9], b[end-10], b[end-11], b[end-12], b[end-13] = byte(high), byte(high>>8), byte(high>>16), byte(high>>24), byte(high>>32)
	}
	return new(big.Int).SetBytes(b[:])
}

// newModulus returns the modulus p, which must be odd and below 2^1040.
func newModulus(p *big.Int) *modulus {
	var m modulus
	rest, limb := new(big.Int).Set(p), new(big.Int)
	for i := range limbCount {
		m[i] = limb.And(rest, big.NewInt(limbMask)).Uint64()
		rest.Rsh(rest, limbBits)
	}
	// Newton's iteration doubles the number of correct bits. It starts with 3,
	// because p*p = 1 mod 8.
	inverse := m[0]
	for range 5 {
		inverse *= 2 - m[0]*inverse
	}
	m[limbCount] = -inverse & limbMask
	return &m
}
