package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// These constants are truth tables for VPTERNLOGD. Each is the result for the
// inputs 0xf0, 0xcc and 0xaa.
const (
	xor      = U8(0xf0 ^ 0xcc ^ 0xaa)
	choose   = U8(0xf0&0xcc | ^0xf0&0xff&0xaa)
	majority = U8(0xf0&0xcc | 0xf0&0xaa | 0xcc&0xaa)
)

// compress does the 64 rounds on the working variables, in four groups of sixteen.
// After sixteen rounds each variable is again in its first register. When a round
// has used a word, compress replaces the word with the word that is needed sixteen
// rounds later.
//
// constants must point to the round constants, and end must point to the last
// sixteen round constants. compress changes constants and restores it.
func compress(constants, end Register) {
	again := unique("rounds")
	Label(again)
	for t := range 16 {
		round(t, Mem{Base: constants, Disp: 4 * t})
		schedule(t)
	}
	ADDQ(U8(4*16), constants)
	CMPQ(constants, end)
	JNE(LabelRef(again))
	for t := range 16 {
		round(t, Mem{Base: constants, Disp: 4 * t})
	}
	SUBQ(U8(4*48), constants)
}

// round does round t (mod 16). The values of the working variables stay in their
// registers, and the registers change their names: h becomes the next a, and d
// becomes the next e.
func round(t int, constant Mem) {
	name := func(i int) VecPhysical { return working[(i+16-t)%8] }
	a, b, c, d := name(0), name(1), name(2), name(3)
	e, f, g, h := name(4), name(5), name(6), name(7)
	r0, r1, r2, s := scratch[0], scratch[1], scratch[2], scratch[3]

	// h += K + W + Ch(e,f,g) + Sigma1(e)
	VPADDD(words[t], h, h)
	VPRORD(U8(6), e, r0)
	VPRORD(U8(11), e, r1)
	VPRORD(U8(25), e, r2)
	VMOVDQA32(e, s)
	VPTERNLOGD(choose, g, f, s)
	VPADDD_BCST(constant, h, h)
	VPTERNLOGD(xor, r2, r1, r0)
	VPADDD(s, h, h)
	VPADDD(r0, h, h)

	// d += h
	VPADDD(h, d, d)

	// h += Maj(a,b,c) + Sigma0(a)
	r0, r1, r2, s = scratch[4], scratch[5], scratch[6], scratch[7]
	VPRORD(U8(2), a, r0)
	VPRORD(U8(13), a, r1)
	VPRORD(U8(22), a, r2)
	VMOVDQA32(a, s)
	VPTERNLOGD(majority, c, b, s)
	VPTERNLOGD(xor, r2, r1, r0)
	VPADDD(s, h, h)
	VPADDD(r0, h, h)
}

// schedule replaces word t by word t+16:
// W[t+16] = sigma1(W[t+14]) + W[t+9] + sigma0(W[t+1]) + W[t].
func schedule(t int) {
	w := func(i int) VecPhysical { return words[(t+i)%16] }
	r0, r1, r2 := scratch[0], scratch[1], scratch[2]
	VPADDD(w(9), w(0), w(0))
	VPRORD(U8(7), w(1), r0)
	VPRORD(U8(18), w(1), r1)
	VPSRLD(U8(3), w(1), r2)
	VPTERNLOGD(xor, r2, r1, r0)
	VPADDD(r0, w(0), w(0))
	r0, r1, r2 = scratch[4], scratch[5], scratch[6]
	VPRORD(U8(17), w(14), r0)
	VPRORD(U8(19), w(14), r1)
	VPSRLD(U8(10), w(14), r2)
	VPTERNLOGD(xor, r2, r1, r0)
	VPADDD(r0, w(0), w(0))
}

// transpose changes what the registers in words hold. Before, each register holds
// words of one message. Afterwards, each register holds the same word of all
// messages.
func transpose() {
	for g := 0; g < lanes; g += 4 {
		transpose4([4]VecPhysical(words[g : g+4]))
	}
	// Now quarter q of the j-th register in each group of four holds word 4q+j of
	// four messages. The code below transposes the quarters.
	for j := range 4 {
		r := [4]VecPhysical{words[j], words[4+j], words[8+j], words[12+j]}
		const (
			evens = U8(0b10_00_10_00)
			odds  = U8(0b11_01_11_01)
			lows  = U8(0b01_00_01_00)
			highs = U8(0b11_10_11_10)
		)
		t := scratch[:4]
		VSHUFI32X4(lows, r[1], r[0], t[0])
		VSHUFI32X4(highs, r[1], r[0], t[1])
		VSHUFI32X4(lows, r[3], r[2], t[2])
		VSHUFI32X4(highs, r[3], r[2], t[3])
		VSHUFI32X4(evens, t[2], t[0], r[0])
		VSHUFI32X4(odds, t[2], t[0], r[1])
		VSHUFI32X4(evens, t[3], t[1], r[2])
		VSHUFI32X4(odds, t[3], t[1], r[3])
	}
}

// transpose4 transposes the matrix of four by four words in each quarter of r.
func transpose4(r [4]VecPhysical) {
	t := scratch[:4]
	VPUNPCKLDQ(r[1], r[0], t[0])
	VPUNPCKHDQ(r[1], r[0], t[1])
	VPUNPCKLDQ(r[3], r[2], t[2])
	VPUNPCKHDQ(r[3], r[2], t[3])
	VPUNPCKLQDQ(t[2], t[0], r[0])
	VPUNPCKHQDQ(t[2], t[0], r[1])
	VPUNPCKLQDQ(t[3], t[1], r[2])
	VPUNPCKHQDQ(t[3], t[1], r[3])
}

// storeDigests writes the working variables of each lane to dst. The result is a
// digest of big-endian words.
func storeDigests(dst Register) {
	swap := scratch[7]
	VBROADCASTI32X4(swapBytes(), swap)
	for _, v := range working {
		VPSHUFB(swap, v, v)
	}
	transpose4([4]VecPhysical(working[:4]))
	transpose4([4]VecPhysical(working[4:]))
	// Quarter q of the j-th register now holds half of the digest of lane 4q+j.
	for j := range 4 {
		for half, v := range []VecPhysical{working[j], working[4+j]} {
			for q := range 4 {
				VEXTRACTI32X4(U8(q), v, Mem{Base: dst, Disp: 32*(4*q+j) + 16*half})
			}
		}
	}
}
