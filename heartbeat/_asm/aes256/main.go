// Command aes256 writes the key schedule and the counter mode of
// heartbeat/internal/aes256.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"

	"github.com/driveshare/downstream-node/heartbeat/_asm/internal/rounds"
)

func main() {
	ConstraintExpr("!purego")
	expandKeys()
	keyStreamVAES()
	keyStreamNI()
	Generate()
}

// expandKeys is FIPS 197, section 5.2, for Nk = 8: every round key is the one
// two before it, with its words summed up from the left, and a substituted word
// of the one before it added to all four.
func expandKeys() {
	TEXT("expandKeys", NOSPLIT, "func(keys *[15][16]byte, key *[32]byte)")
	Pragma("noescape")
	Doc("expandKeys sets keys to the key schedule of key.")
	keys := Load(Param("keys"), GP64())
	key := Load(Param("key"), GP64())
	older, newer := XMM(), XMM()
	MOVUPS(Mem{Base: key}, older)
	MOVUPS(Mem{Base: key, Disp: rounds.Block}, newer)
	MOVUPS(older, Mem{Base: keys})
	MOVUPS(newer, Mem{Base: keys, Disp: rounds.Block})
	for i := 2; i < rounds.Keys; i++ {
		word, sum := XMM(), XMM()
		if i%2 == 0 {
			// RotWord and SubWord with a round constant: the last word.
			AESKEYGENASSIST(U8(1<<(i/2-1)), newer, word)
			PSHUFD(U8(0b11_11_11_11), word, word)
		} else {
			// SubWord alone: the last but one.
			AESKEYGENASSIST(U8(0), newer, word)
			PSHUFD(U8(0b10_10_10_10), word, word)
		}
		MOVO(older, sum)
		for range 3 {
			PSLLDQ(U8(4), sum)
			PXOR(sum, older)
		}
		PXOR(word, older)
		MOVUPS(older, Mem{Base: keys, Disp: i * rounds.Block})
		older, newer = newer, older
	}
	RET()
}

// swap makes a counter, kept as the second of two little-endian words of 64
// bits, the big-endian number of 128 bits that it stands for.
func swap(name string, lanes int) Mem {
	mask := GLOBL(name, RODATA|NOPTR)
	for lane := range lanes {
		DATA(lane*rounds.Block, U64(0x0706050403020100))
		DATA(lane*rounds.Block+8, U64(0x08090a0b0c0d0e0f))
	}
	return mask
}

// steps is the counters first, first+by, ... as swap wants them.
func steps(name string, lanes int, first, by uint64) Mem {
	table := GLOBL(name, RODATA|NOPTR)
	for lane := range lanes {
		DATA(lane*rounds.Block, U64(0))
		DATA(lane*rounds.Block+8, U64(first+uint64(lane)*by))
	}
	return table
}

const (
	lanes = 4 // blocks in a register
	width = 4 // registers
	wide  = lanes * rounds.Block
)

// keyStreamVAES makes sixteen blocks at a time, and writes of the first and the
// last only the bytes that are asked for.
func keyStreamVAES() {
	start, next, order := steps("countWide", lanes, 0, 1), steps("nextWide", lanes, lanes, 0), swap("swapWide", lanes)

	TEXT("keyStreamVAES", NOSPLIT, "func(keys *[15][16]byte, dst *byte, size, skip int, counter uint64)")
	Pragma("noescape")
	Doc("keyStreamVAES fills size bytes of dst with the encryptions of counter, counter+1, ...,",
		"without the first skip bytes, which are less than a block.")
	keys := rounds.LoadWide(Load(Param("keys"), GP64()))
	dst := Load(Param("dst"), GP64())
	size := Load(Param("size"), GP64())
	skip := Load(Param("skip"), GP64())
	batch := batchFrom(Load(Param("counter"), GP64()), start, next, order)
	states := rounds.States(width, ZMM)

	// The masks have a bit for each byte. What is skipped counts as there.
	ones, mask, head := GP64(), GP64(), K()
	MOVQ(I32(-1), ones)
	SHLXQ(skip, ones, mask)
	KMOVQ(mask, head)
	SUBQ(skip, dst)
	ADDQ(skip, size)

	Label("loop")
	CMPQ(size, U32(width*wide))
	JLT(LabelRef("tail"))
	batch(states)
	rounds.Wide(keys, states)
	VMOVDQU8(states[0], head, Mem{Base: dst})
	KMOVQ(ones, head)
	for i, state := range states[1:] {
		VMOVDQU64(state, Mem{Base: dst, Disp: (i + 1) * wide})
	}
	ADDQ(U32(width*wide), dst)
	SUBQ(U32(width*wide), size)
	JMP(LabelRef("loop"))

	Label("tail")
	TESTQ(size, size)
	JZ(LabelRef("done"))
	batch(states)
	rounds.Wide(keys, states)
	storeTail(states, dst, size, ones, head)
	Label("done")
	VZEROUPPER()
	RET()
}

// batchFrom gives what writes the setting of states to the next counters.
func batchFrom(first Register, start, step, swap Mem) func(states []VecVirtual) {
	counters, next, order := ZMM(), ZMM(), ZMM()
	VMOVDQU64(step, next)
	VMOVDQU64(swap, order)
	words, odd := GP32(), K()
	MOVL(U32(0b10101010), words)
	KMOVW(words, odd)
	VPBROADCASTQ_Z(first, odd, counters)
	VPADDQ(start, counters, counters)
	return func(states []VecVirtual) {
		for _, state := range states {
			VPSHUFB(order, counters, state)
			VPADDQ(next, counters, counters)
		}
	}
}

// storeTail writes the size bytes that are left, as far as head allows.
func storeTail(states []VecVirtual, dst, size, ones, head Register) {
	none, mask, part := GP64(), GP64(), K()
	XORQ(none, none)
	for i, state := range states {
		BZHIQ(size, ones, mask)
		KMOVQ(mask, part)
		if i == 0 {
			KANDQ(head, part, part)
		}
		VMOVDQU8(state, part, Mem{Base: dst, Disp: i * wide})
		SUBQ(Imm(wide), size)
		CMOVQLT(none, size)
	}
}

// keyStreamNI makes eight blocks at a time.
func keyStreamNI() {
	const batch = 8
	swapOne := swap("swapOne", 1)
	nextOne := steps("nextOne", 1, 1, 0)

	TEXT("keyStreamNI", NOSPLIT, "func(keys *[15][16]byte, dst *byte, blocks int, counter uint64)")
	Pragma("noescape")
	Doc("keyStreamNI fills dst with blocks blocks, encryptions of counter, counter+1, ...")
	keys := Load(Param("keys"), GP64())
	dst := Load(Param("dst"), GP64())
	blocks := Load(Param("blocks"), GP64())
	counter, next, order := XMM(), XMM(), XMM()
	MOVUPS(nextOne, next)
	MOVUPS(swapOne, order)
	MOVQ(Load(Param("counter"), GP64()), counter)
	PSLLDQ(Imm(8), counter)
	states := rounds.States(batch, XMM)

	Label("loop")
	CMPQ(blocks, Imm(0))
	JLE(LabelRef("done"))
	for _, state := range states {
		MOVO(counter, state)
		PSHUFB(order, state)
		PADDQ(next, counter)
	}
	rounds.Narrow(keys, states)
	for i, state := range states {
		if i > 0 {
			CMPQ(blocks, Imm(uint64(i)))
			JLE(LabelRef("done"))
		}
		MOVUPS(state, Mem{Base: dst, Disp: i * rounds.Block})
	}
	ADDQ(U32(batch*rounds.Block), dst)
	SUBQ(Imm(batch), blocks)
	JMP(LabelRef("loop"))
	Label("done")
	RET()
}
