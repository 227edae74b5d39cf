// Command sha256x generates the AVX-512 kernels of heartbeat/internal/sha256x. They
// compute sixteen SHA-256 hashes (FIPS 180-4) side by side. Register k of a group
// holds word k of all sixteen hashes.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const (
	lanes     = 16
	blockSize = 64
	vector    = 64 // bytes in a register
)

func main() {
	ConstraintExpr("!purego")
	blocks()
	sumU32()
	digests()
	Generate()
}

// These variables name the uses of the 32 registers.
var (
	words   = [16]VecPhysical{Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15}
	working = [8]VecPhysical{Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23}
	scratch = [8]VecPhysical{Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31}
)

func blocks() {
	TEXT("blocks", NOSPLIT, "func(state *[8][16]uint32, data *[16]*byte, n int)")
	Doc("blocks hashes n blocks of data[i], of 64 bytes each, into column i of state.", "n must be positive.")
	Pragma("noescape")
	state := Load(Param("state"), GP64())
	data := Load(Param("data"), GP64())
	n := Load(Param("n"), GP64())
	constants := address(roundConstants)
	end := GP64()
	LEAQ(constants.Offset(4*48), end)
	offset := GP64()
	XORQ(offset, offset)
	for i, v := range working {
		VMOVDQU32(Mem{Base: state, Disp: vector * i}, v)
	}

	Label("block")
	lane := GP64()
	for i, v := range words {
		MOVQ(Mem{Base: data, Disp: 8 * i}, lane)
		VMOVDQU32(Mem{Base: lane, Index: offset, Scale: 1}, v)
	}
	swap := scratch[7]
	VBROADCASTI32X4(swapBytes(), swap)
	for _, v := range words {
		VPSHUFB(swap, v, v)
	}
	transpose()

	compress(constants.Base, end)
	for i, v := range working {
		VPADDD(Mem{Base: state, Disp: vector * i}, v, v)
		VMOVDQU32(v, Mem{Base: state, Disp: vector * i})
	}
	ADDQ(U8(blockSize), offset)
	DECQ(n)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

func sumU32() {
	TEXT("sumU32", NOSPLIT, "func(dst *[16][32]byte, x *[16]uint32)")
	Doc("sumU32 sets dst[i] to the digest of x[i] as four little-endian bytes.")
	Pragma("noescape")
	dst := Load(Param("dst"), GP64())
	x := Load(Param("x"), GP64())
	constants := address(roundConstants)
	end := GP64()
	LEAQ(constants.Offset(4*48), end)

	// The block holds the message, then a one bit, and then the message's length of
	// 32 bits.
	VBROADCASTI32X4(swapBytes(), scratch[7])
	VMOVDQU32(Mem{Base: x}, words[0])
	VPSHUFB(scratch[7], words[0], words[0])
	first := padding()
	VPBROADCASTD(first, words[1])
	for _, v := range words[2:15] {
		VPXORD(v, v, v)
	}
	VPBROADCASTD(first.Offset(4), words[15])

	initial := initialState()
	for i, v := range working {
		VPBROADCASTD(initial.Offset(4*i), v)
	}
	compress(constants.Base, end)
	for i, v := range working {
		VPADDD_BCST(initial.Offset(4*i), v, v)
	}
	storeDigests(dst)
	VZEROUPPER()
	RET()
}

func digests() {
	TEXT("digests", NOSPLIT, "func(dst *[16][32]byte, state *[8][16]uint32)")
	Doc("digests sets dst[i] to column i of state as big-endian words.")
	Pragma("noescape")
	dst := Load(Param("dst"), GP64())
	state := Load(Param("state"), GP64())
	for i, v := range working {
		VMOVDQU32(Mem{Base: state, Disp: vector * i}, v)
	}
	storeDigests(dst)
	VZEROUPPER()
	RET()
}

func address(table func() Mem) Mem {
	base := GP64()
	LEAQ(table(), base)
	return Mem{Base: base}
}
