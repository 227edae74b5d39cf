// Command aes256 generates the kernels of heartbeat/internal/aes256: the key
// schedule, counter mode, and chains in cipher feedback mode.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("!purego")
	expandKeys()
	keyStreamVAES()
	keyStreamNI()
	drawVAES()
	drawNI()
	Generate()
}

// expandKeys computes the key schedule of FIPS 197, section 5.2, for Nk = 8. Word i
// of a round key is a sum. Its terms are words 0 to i of the round key two before
// it, and one word that is substituted from the round key directly before it.
func expandKeys() {
	TEXT("expandKeys", NOSPLIT, "func(keys *[15][16]byte, key *[32]byte)")
	Pragma("noescape")
	Doc("expandKeys sets keys to the key schedule of key.")
	keys := argument("keys")
	key := argument("key")
	older, newer := XMM(), XMM()
	MOVUPS(Mem{Base: key}, older)
	MOVUPS(Mem{Base: key, Disp: blockSize}, newer)
	MOVUPS(older, Mem{Base: keys})
	MOVUPS(newer, Mem{Base: keys, Disp: blockSize})
	for i := 2; i < roundKeys; i++ {
		word, sum := XMM(), XMM()
		if i%2 == 0 {
			// The last word of the result is RotWord and SubWord with a round constant.
			AESKEYGENASSIST(U8(1<<(i/2-1)), newer, word)
			PSHUFD(U8(0b11_11_11_11), word, word)
		} else {
			// The second-to-last word of the result is SubWord alone.
			AESKEYGENASSIST(U8(0), newer, word)
			PSHUFD(U8(0b10_10_10_10), word, word)
		}
		MOVO(older, sum)
		for range 3 {
			PSLLDQ(U8(4), sum)
			PXOR(sum, older)
		}
		PXOR(word, older)
		MOVUPS(older, Mem{Base: keys, Disp: i * blockSize})
		older, newer = newer, older
	}
	RET()
}

// swap returns the shuffle that turns a counter into its cipher block. The counter
// is the second of two little-endian words of 64 bits. The block is a big-endian
// number of 128 bits.
func swap(name string, lanes int) Mem {
	mask := GLOBL(name, RODATA|NOPTR)
	for lane := range lanes {
		DATA(lane*blockSize, U64(0x0706050403020100))
		DATA(lane*blockSize+8, U64(0x08090a0b0c0d0e0f))
	}
	return mask
}

// steps returns one counter per lane, in the encoding that swap reads: first,
// first+by, first+2*by, ...
func steps(name string, lanes int, first, by uint64) Mem {
	table := GLOBL(name, RODATA|NOPTR)
	for lane := range lanes {
		DATA(lane*blockSize, U64(0))
		DATA(lane*blockSize+8, U64(first+uint64(lane)*by))
	}
	return table
}

const (
	lanes = 4 // number of blocks in a register
	width = 4 // number of registers
	wide  = lanes * blockSize
)

// keyStreamVAES encrypts sixteen blocks at a time. It writes only the requested
// bytes of the first block and of the last block.
func keyStreamVAES() {
	start, next, order := steps("countWide", lanes, 0, 1), steps("nextWide", lanes, lanes, 0), swap("swapWide", lanes)

	TEXT("keyStreamVAES", NOSPLIT, "func(keys *[15][16]byte, dst *byte, size, skip int, counter uint64)")
	Pragma("noescape")
	Doc("keyStreamVAES fills size bytes of dst with the encryptions of counter, counter+1, ...,",
		"starting at byte skip of the first block.")
	keys := loadWide(argument("keys"))
	dst := argument("dst")
	size := argument("size")
	skip := argument("skip")
	batch := batchFrom(argument("counter"), start, next, order)
	states := registers(width, ZMM)

	// Each bit of a mask belongs to one byte. From this point, dst and size also
	// cover the skipped bytes. The mask head excludes these bytes.
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
	encryptWide(keys, states)
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
	encryptWide(keys, states)
	storeTail(states, dst, size, ones, head)
	Label("done")
	VZEROUPPER()
	RET()
}

// batchFrom returns a function that emits the instructions to load the next
// counters into states.
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

// storeTail writes the last size bytes, without the bytes that head excludes.
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

// keyStreamNI encrypts eight blocks at a time.
func keyStreamNI() {
	const batch = 8
	swapOne := swap("swapOne", 1)
	nextOne := steps("nextOne", 1, 1, 0)

	TEXT("keyStreamNI", NOSPLIT, "func(keys *[15][16]byte, dst *byte, blocks int, counter uint64)")
	Pragma("noescape")
	Doc("keyStreamNI fills that many blocks of dst with the encryptions of counter, counter+1, ...")
	keys := argument("keys")
	dst := argument("dst")
	blocks := argument("blocks")
	counter, next, order := XMM(), XMM(), XMM()
	MOVUPS(nextOne, next)
	MOVUPS(swapOne, order)
	MOVQ(argument("counter"), counter)
	PSLLDQ(Imm(8), counter)
	states := registers(batch, XMM)

	Label("loop")
	CMPQ(blocks, Imm(0))
	JLE(LabelRef("done"))
	for _, state := range states {
		MOVO(counter, state)
		PSHUFB(order, state)
		PADDQ(next, counter)
	}
	encryptNarrow(keys, states)
	for i, state := range states {
		if i > 0 {
			CMPQ(blocks, Imm(uint64(i)))
			JLE(LabelRef("done"))
		}
		MOVUPS(state, Mem{Base: dst, Disp: i * blockSize})
	}
	ADDQ(U32(batch*blockSize), dst)
	SUBQ(Imm(batch), blocks)
	JMP(LabelRef("loop"))
	Label("done")
	RET()
}
