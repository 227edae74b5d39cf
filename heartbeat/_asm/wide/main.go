// Command wide generates the AVX-512 IFMA kernels of heartbeat/internal/wide. The
// kernels compute with eight numbers of 1024 bits at a time. Each number is in one
// 64-bit lane, in 20 limbs of 52 bits. The documentation of heartbeat/internal/wide
// states the bounds.
package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const (
	limbs   = 20
	columns = 2 * limbs
	size    = 128 // bytes in a number
	vector  = 64  // bytes in eight lanes
)

var zmm = []VecPhysical{
	Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15,
	Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31,
}

func main() {
	ConstraintExpr("!purego")
	constants()
	pack()
	mulAdd()
	reduce()
	Generate()
}

var (
	reversal Mem // a shuffle that reverses the bytes of each word
	ramp     Mem // the numbers 0 to 7
)

func constants() {
	reversal = GLOBL("reversal", RODATA|NOPTR)
	for k := range vector / 8 {
		DATA(8*k, U64(0x0001020304050607+k*0x0808080808080808))
	}
	ramp = GLOBL("ramp", RODATA|NOPTR)
	DATA(0, U64(0x0706050403020100))
}

// numbers describes up to eight big-endian numbers in memory, for the lanes in
// mask.
type numbers struct {
	base    GPPhysical
	index   VecPhysical // k*stride in lane k
	mask    OpmaskPhysical
	reverse VecPhysical
}

// loadNumbers loads the arguments src, stride and mask. It overwrites Z30.
func loadNumbers() numbers {
	n := numbers{base: R8, index: Z31, mask: K7, reverse: Z29}
	Load(Param("src"), n.base)
	Load(Param("stride"), R9)
	Load(Param("mask"), R10)
	KMOVB(R10.As32(), n.mask)
	VPBROADCASTQ(R9, Z30)
	VPMOVZXBQ(ramp, n.index)
	VPMULLQ(Z30, n.index, n.index)
	VMOVDQU64(reversal, n.reverse)
	return n
}

// limb sets the register to. Each lane in the mask gets limb i of its number, and
// all other lanes get zero. The bits of to above bit 51 belong to the next limb,
// unless limb i is the last limb.
//
// Limb i starts at bit 52i. Its lowest byte is byte 127-52i/8 of the number. The
// eight bytes that end at this byte hold the limb. If i is odd, the limb is shifted
// by half a byte. For the last limb, these eight bytes would start before the
// number, so limb reads the first eight bytes of the number.
func (n numbers) limb(i int, to VecPhysical) {
	at, shift := size-8-52*i/8, 52*i%8
	if at < 0 {
		at, shift = 0, shift-8*at
	}
	VPXORQ(to, to, to)
	KMOVB(n.mask, K1)
	VPGATHERQQ(Mem{Base: n.base, Index: n.index, Scale: 1, Disp: at}, K1, to)
	VPSHUFB(n.reverse, to, to)
	if shift != 0 {
		VPSRLQ(U8(shift), to, to)
	}
}

func at(base Register, i int) Mem { return Mem{Base: base, Disp: i * vector} }

func limbMask(to VecPhysical) {
	MOVQ(U64(1<<52-1), RAX)
	VPBROADCASTQ(RAX, to)
}

func pack() {
	TEXT("pack", NOSPLIT, "func(dst *[20][8]uint64, src *byte, stride uint64, mask uint8)")
	Doc("pack sets the lanes of dst in mask to the numbers at src, stride bytes apart,", "and the other lanes to zero.")
	Pragma("noescape")
	Load(Param("dst"), RDI)
	in := loadNumbers()
	limbMask(Z28)
	for i := range limbs {
		in.limb(i, zmm[i])
		VPANDQ(Z28, zmm[i], zmm[i])
		VMOVDQU64(zmm[i], at(RDI, i))
	}
	VZEROUPPER()
	RET()
}

// mulAdd holds the limbs of b in 20 registers. It computes the 40 columns in four
// groups of 10. A group needs 11 registers for its sums, because the upper half of
// a product belongs to the following column.
func mulAdd() {
	const group = 10
	TEXT("mulAdd", NOSPLIT, "func(sum *[40][8]uint64, a *[20][8]uint64, src *byte, stride uint64, mask uint8)")
	Doc("mulAdd sets sum = sum + a*b for the numbers b at src, as in pack.")
	Pragma("noescape")
	Load(Param("sum"), RDI)
	Load(Param("a"), RSI)
	b, sums, factor := zmm[:limbs], append([]VecPhysical{}, zmm[limbs:limbs+group+1]...), Z31
	in := loadNumbers()
	for i := range limbs {
		in.limb(i, b[i])
	}
	VMOVDQU64(at(RDI, 0), sums[0])
	for first := 0; first < columns; first += group {
		Comment(fmt.Sprintf("Columns %d to %d", first, first+group-1))
		last := min(first+group, columns-1) // the last column that gets the upper half of a product
		for k := first + 1; k <= last; k++ {
			VMOVDQU64(at(RDI, k), sums[k-first])
		}
		for i := range limbs {
			from, to := max(first, i), min(first+group-1, i+limbs-1)
			if from > to {
				continue
			}
			VMOVDQU64(at(RSI, i), factor)
			for k := from; k <= to; k++ {
				VPMADD52LUQ(b[k-i], factor, sums[k-first])
			}
			for k := from; k <= to; k++ {
				VPMADD52HUQ(b[k-i], factor, sums[k+1-first])
			}
		}
		for k := first; k < first+group; k++ {
			VMOVDQU64(sums[k-first], at(RDI, k))
		}
		sums[0], sums[group] = sums[group], sums[0]
	}
	VZEROUPPER()
	RET()
}

func reduce() {
	TEXT("reduce", NOSPLIT, "func(src *byte, stride uint64, mask uint8, sum *[40][8]uint64, m *[21]uint64)")
	Doc("reduce sets z = z + sum/R mod p for the numbers z at src, as in pack.")
	Pragma("noescape")
	Load(Param("sum"), RSI)
	Load(Param("m"), RDX)
	r := montgomery()
	in := loadNumbers()
	limbMask(Z28)
	Comment("Add z and propagate the carries")
	for i := range limbs {
		in.limb(i, Z30)
		VPANDQ(Z28, Z30, Z30)
		VPADDQ(Z30, r[i], r[i])
	}
	for i := range limbs - 1 {
		VPSRLQ(U8(52), r[i], Z30)
		VPADDQ(Z30, r[i+1], r[i+1])
		VPANDQ(Z28, r[i], r[i])
	}
	subtract(r)
	store(in, r)
	VZEROUPPER()
	RET()
}

// montgomery divides the sum at RSI by R = 2^1040 modulo the p at RDX, limb by
// limb. For each limb it adds q*p, with q = -sum/p mod 2^52. The lowest limb is
// then zero, and montgomery carries its upper bits to the next limb. An addition
// changes a window of 21 columns, which moves up by one column each time.
// montgomery returns the last 20 columns.
func montgomery() []VecPhysical {
	window := append([]VecPhysical{}, zmm[:limbs+1]...)
	q, inverse := Z30, Z29
	VPBROADCASTQ(Mem{Base: RDX, Disp: limbs * 8}, inverse)
	for k := range window {
		VMOVDQU64(at(RSI, k), window[k])
	}
	for i := range limbs {
		Comment(fmt.Sprintf("Limb %d", i))
		VPXORQ(q, q, q)
		VPMADD52LUQ(inverse, window[0], q)
		for j := range limbs {
			p := Mem{Base: RDX, Disp: j * 8}
			VPMADD52LUQ_BCST(p, q, window[j])
			VPMADD52HUQ_BCST(p, q, window[j+1])
			if j == 0 {
				VPSRLQ(U8(52), window[0], Z28)
				VPADDQ(Z28, window[1], window[1])
			}
		}
		window = append(window[1:], window[0])
		if next := i + limbs + 1; next < columns {
			VMOVDQU64(at(RSI, next), window[limbs])
		}
	}
	return window[:limbs]
}

// subtract reduces r, which is below 3p. It subtracts the p at RDX until r is below
// p. Z28 holds the mask of a limb.
func subtract(r []VecPhysical) {
	free := without(zmm[:28], r)
	p, once, twice, c := free[0], free[1], free[2], free[3]
	Comment("Compare r with p and with 2p")
	VPXORQ(once, once, once)
	VPXORQ(twice, twice, twice)
	for i := range limbs {
		VPBROADCASTQ(Mem{Base: RDX, Disp: i * 8}, p)
		VPADDQ(r[i], once, once)
		VPSUBQ(p, once, once)
		VPSRAQ(U8(52), once, once)
		VPADDQ(r[i], twice, twice)
		VPSUBQ(p, twice, twice)
		VPSUBQ(p, twice, twice)
		VPSRAQ(U8(52), twice, twice)
	}
	Comment("Subtract p once if r >= p, and twice if r >= 2p")
	VPXORQ(c, c, c)
	VPCMPQ(U8(5), c, once, K2) // predicate 5: not less than
	VPCMPQ(U8(5), c, twice, K3)
	for i := range limbs {
		VPBROADCASTQ(Mem{Base: RDX, Disp: i * 8}, p)
		VPADDQ(c, r[i], r[i])
		VPSUBQ(p, r[i], K2, r[i])
		VPSUBQ(p, r[i], K3, r[i])
		VPSRAQ(U8(52), r[i], c)
		VPANDQ(Z28, r[i], r[i])
	}
}

// store writes the numbers in big-endian order. It makes 16 words from 20 limbs.
func store(n numbers, r []VecPhysical) {
	free := without(zmm[:28], r)
	word, part := free[0], free[1]
	Comment("Write the words")
	for w := range size / 8 {
		i, shift := 64*w/52, 64*w%52
		VPSRLQ(U8(shift), r[i], word)
		for left := 52 - shift; left < 64 && i+1 < limbs; left += 52 {
			i++
			VPSLLQ(U8(left), r[i], part)
			VPORQ(part, word, word)
		}
		VPSHUFB(n.reverse, word, word)
		KMOVB(n.mask, K1)
		VPSCATTERQQ(word, K1, Mem{Base: n.base, Index: n.index, Scale: 1, Disp: size - 8*(w+1)})
	}
}

func without(all, used []VecPhysical) (free []VecPhysical) {
	for _, z := range all {
		taken := false
		for _, u := range used {
			taken = taken || u == z
		}
		if !taken {
			free = append(free, z)
		}
	}
	return free
}
