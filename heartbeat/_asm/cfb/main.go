// Command cfb writes the kernels of heartbeat/internal/cfb.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"

	"github.com/driveshare/downstream-node/heartbeat/_asm/internal/rounds"
)

const digestSize = 32

func main() {
	ConstraintExpr("!purego")
	drawVAES()
	drawNI()
	Generate()
}

// draw is what both kernels do, with the registers of each: a block is the
// encryption of the one before it, plus what is left of the digest.
type draw struct {
	first, size Register
	load        func(at Register, offset int) // the last blocks of the outputs
	spread      func()                        // the block that all begin with
	encrypt     func()
	feed        func(at Register) // adds the digests' blocks
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
	d.load(d.size, -rounds.Block)
	XORQ(at, at)
	Label("next")
	d.encrypt()
	Label("feed")
	CMPQ(at, Imm(digestSize))
	JGE(LabelRef("store"))
	d.feed(at)
	Label("store")
	d.store(at)
	ADDQ(Imm(rounds.Block), at)
	CMPQ(at, d.size)
	JLT(LabelRef("next"))
}

// A lane is two pointers, to the output and to the digest.
const (
	laneSize = 16
	output   = 0
	digest   = 8
)

// pointer loads one of a lane's.
func pointer(lanes Register, lane, which int) Register {
	p := GP64()
	MOVQ(Mem{Base: lanes, Disp: lane*laneSize + which}, p)
	return p
}

// drawVAES has four lanes in each of four registers.
func drawVAES() {
	const perState = 4
	TEXT("drawVAES", NOSPLIT, "func(keys *[15][16]byte, first *[16]byte, size int, lanes *[16][2]*byte)")
	Pragma("noescape")
	Doc("drawVAES makes the first draw of size bytes for each lane, or the next one where first is nil.")
	keys := rounds.LoadWide(Load(Param("keys"), GP64()))
	first := Load(Param("first"), GP64())
	lanes := Load(Param("lanes"), GP64())
	states := rounds.States(perState, ZMM)
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
		size:  Load(Param("size"), GP64()),
		load:  func(at Register, offset int) { gather(output, at, offset, false) },
		spread: func() {
			for _, state := range states {
				VBROADCASTI32X4(Mem{Base: first}, state)
			}
		},
		encrypt: func() { rounds.Wide(keys, states) },
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

// drawNI has a lane in each of eight registers.
func drawNI() {
	TEXT("drawNI", NOSPLIT, "func(keys *[15][16]byte, first *[16]byte, size int, lanes *[8][2]*byte)")
	Pragma("noescape")
	Doc("drawNI makes the first draw of size bytes for each lane, or the next one where first is nil.")
	keys := Load(Param("keys"), GP64())
	first := Load(Param("first"), GP64())
	lanes := Load(Param("lanes"), GP64())
	states := rounds.States(8, XMM)
	draw{
		first: first,
		size:  Load(Param("size"), GP64()),
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
		encrypt: func() { rounds.Narrow(keys, states) },
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
