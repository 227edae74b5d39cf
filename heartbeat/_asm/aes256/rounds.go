package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const (
	roundKeys = 15
	blockSize = 16
)

// loadWide loads the round keys. Each key is in its register four times.
func loadWide(keys Register) [roundKeys]VecVirtual {
	var wide [roundKeys]VecVirtual
	for i := range wide {
		wide[i] = ZMM()
		VBROADCASTI32X4(Mem{Base: keys, Disp: i * blockSize}, wide[i])
	}
	return wide
}

// encryptWide encrypts the four blocks of each state in place. It does each round
// on all states before the next round, as encryptNarrow does. The instructions on
// one state then hide the latency of the instructions on another state.
func encryptWide(keys [roundKeys]VecVirtual, states []VecVirtual) {
	for i, key := range keys {
		for _, state := range states {
			switch i {
			case 0:
				VPXORQ(key, state, state)
			case roundKeys - 1:
				VAESENCLAST(key, state, state)
			default:
				VAESENC(key, state, state)
			}
		}
	}
}

// encryptNarrow encrypts each state, which is one block, in place. It loads the
// round keys again for each round, because there are too few registers for all
// round keys.
func encryptNarrow(keys Register, states []VecVirtual) {
	key := XMM()
	for i := range roundKeys {
		MOVUPS(Mem{Base: keys, Disp: i * blockSize}, key)
		for _, state := range states {
			switch i {
			case 0:
				PXOR(key, state)
			case roundKeys - 1:
				AESENCLAST(key, state)
			default:
				AESENC(key, state)
			}
		}
	}
}

// registers allocates count registers.
func registers(count int, register func() VecVirtual) []VecVirtual {
	all := make([]VecVirtual, count)
	for i := range all {
		all[i] = register()
	}
	return all
}

// argument loads an argument of the function.
func argument(name string) Register { return Load(Param(name), GP64()) }
