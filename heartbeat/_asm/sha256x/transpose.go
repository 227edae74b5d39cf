package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// transpose turns the words registers from one message in each into one word
// of all messages in each.
func transpose() {
	for g := 0; g < lanes; g += 4 {
		transpose4([4]VecPhysical(words[g : g+4]))
	}
	// Now the j-th of each four holds, in its quarter q, word 4q+j of four
	// messages; what is left is to transpose the quarters.
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

// transpose4 transposes the four by four words in each quarter of r.
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

// storeDigests writes the working variables of each lane as its digest, the
// highest byte of a word first, to dst.
func storeDigests(dst Register) {
	swap := scratch[7]
	VBROADCASTI32X4(swapBytes(), swap)
	for _, v := range working {
		VPSHUFB(swap, v, v)
	}
	transpose4([4]VecPhysical(working[:4]))
	transpose4([4]VecPhysical(working[4:]))
	// Quarter q of the j-th register is now half of the digest of lane 4q+j.
	for j := range 4 {
		for half, v := range []VecPhysical{working[j], working[4+j]} {
			for q := range 4 {
				VEXTRACTI32X4(U8(q), v, Mem{Base: dst, Disp: 32*(4*q+j) + 16*half})
			}
		}
	}
}
