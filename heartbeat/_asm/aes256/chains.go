package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const digestSize = 32

// draw emits the loop that both kernels share. The functions and registers are
// those of one kernel. Each block of the output is the encryption of the block
// before it. If the digest has another block, that block is added.
type draw struct {
	first, size Register
	load        func(at Register, offset int) // loads the last block of each output
	spread      func()                        // loads the first block into each lane
	encrypt     func()
	feed        func(at Register) // adds one block of each digest
	store       func(at Register)
}

func (d draw) emit() {
	at := GP64()
	TESTQ(d.first, d.first)
	JZ(LabelRef("resume"))
	d.spread()
	XORQ(at, at)
	JMP(LabelRef("feed"))

	Label("resume")
	d.load(d.size, -blockSize)
	XORQ(at, at)
	Label("next")
	d.encrypt()
	Label("feed")
	CMPQ(at, Imm(digestSize))
	JGE(LabelRef("store"))
	d.feed(at)
	Label("store")
	d.store(at)
	ADDQ(Imm(blockSize), at)
	CMPQ(at, d.size)
	JLT(LabelRef("next"))
}

// A lane consists of a pointer to its output, and then a pointer to its digest.
const (
	laneSize = 16
	output   = 0
	digest   = 8
)

// pointer loads the output or the digest pointer of a lane.
func pointer(lanes Register, lane, which int) Register {
	p := GP64()
	MOVQ(Mem{Base: lanes, Disp: lane*laneSize + which}, p)
	return p
}

// drawVAES holds four lanes in each of four registers.
func drawVAES() {
	const perState = 4
	TEXT("drawVAES", NOSPLIT, "func(keys *[15][16]byte, first *[16]byte, size int, lanes *[16][2]*byte)")
	Pragma("noescape")
	Doc("drawVAES makes the first draw of size bytes for each lane. If first is nil, it makes the next draw.")
	keys := loadWide(argument("keys"))
	first := argument("first")
	lanes := argument("lanes")
	states := registers(perState, ZMM)
	gather := func(which int, at Register, offset int, add bool) {
		for s, state := range states {
			wide := state
			if add {
				wide = ZMM()
			}
			for i := range perState {
				block := Mem{Base: pointer(lanes, s*perState+i, which), Index: at, Scale: 1, Disp: offset}
				if i == 0 {
					VBROADCASTI32X4(block, wide)
				} else {
					VINSERTI32X4(Imm(uint64(i)), block, wide, wide)
				}
			}
			if add {
				VPXORQ(wide, state, state)
			}
		}
	}
	draw{
		first: first,
		size:  argument("size"),
		load:  func(at Register, offset int) { gather(output, at, offset, false) },
		spread: func() {
			for _, state := range states {
				VBROADCASTI32X4(Mem{Base: first}, state)
			}
		},
		encrypt: func() { encryptWide(keys, states) },
		feed:    func(at Register) { gather(digest, at, 0, true) },
		store: func(at Register) {
			for s, state := range states {
				for i := range perState {
					block := Mem{Base: pointer(lanes, s*perState+i, output), Index: at, Scale: 1}
					VEXTRACTI32X4(Imm(uint64(i)), state, block)
				}
			}
		},
	}.emit()
	VZEROUPPER()
	RET()
}

// drawNI holds one lane in each of eight registers.
func drawNI() {
	TEXT("drawNI", NOSPLIT, "func(keys *[15][16]byte, first *[16]byte, size int, lanes *[8][2]*byte)")
	Pragma("noescape")
	Doc("drawNI makes the first draw of size bytes for each lane. If first is nil, it makes the next draw.")
	keys := argument("keys")
	first := argument("first")
	lanes := argument("lanes")
	states := registers(8, XMM)
	draw{
		first: first,
		size:  argument("size"),
		load: func(at Register, offset int) {
			for i, state := range states {
				MOVUPS(Mem{Base: pointer(lanes, i, output), Index: at, Scale: 1, Disp: offset}, state)
			}
		},
		spread: func() {
			for _, state := range states {
				MOVUPS(Mem{Base: first}, state)
			}
		},
		encrypt: func() { encryptNarrow(keys, states) },
		feed: func(at Register) {
			for i, state := range states {
				block := XMM()
				MOVUPS(Mem{Base: pointer(lanes, i, digest), Index: at, Scale: 1}, block)
				PXOR(block, state)
			}
		},
		store: func(at Register) {
			for i, state := range states {
				MOVUPS(state, Mem{Base: pointer(lanes, i, output), Index: at, Scale: 1})
			}
		},
	}.emit()
	RET()
}
