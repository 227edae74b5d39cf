package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// The truth tables of VPTERNLOGD, whose inputs are 0xf0, 0xcc and 0xaa.
const (
	xor      = U8(0xf0 ^ 0xcc ^ 0xaa)
	choose   = U8(0xf0&0xcc | ^0xf0&0xff&0xaa)
	majority = U8(0xf0&0xcc | 0xf0&0xaa | 0xcc&0xaa)
)

// compress does the 64 rounds on the working variables, four times sixteen:
// after sixteen all of them are in the register where they began. While the
// words of sixteen rounds are used those of the next sixteen take their place.
//
// constants must point at the round constants and end at the last sixteen;
// constants is changed and set back.
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

// round does round t (mod 16). The working variables stay where they are and
// change their names instead: h becomes the next a, and d the next e.
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

// schedule puts word t+16 in the place of word t:
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
