// Package rounds writes the fourteen rounds of AES-256 over several registers,
// interleaved so that each instruction's latency is hidden by the others'.
package rounds

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const (
	// Keys is the number of round keys.
	Keys = 15
	// Block is a block's size in bytes.
	Block = 16
)

// LoadWide gives all round keys, each four times in a register.
func LoadWide(keys Register) [Keys]VecVirtual {
	var wide [Keys]VecVirtual
	for i := range wide {
		wide[i] = ZMM()
		VBROADCASTI32X4(Mem{Base: keys, Disp: i * Block}, wide[i])
	}
	return wide
}

// Wide encrypts the four blocks of each state in place.
func Wide(keys [Keys]VecVirtual, states []VecVirtual) {
	for i, key := range keys {
		for _, state := range states {
			switch i {
			case 0:
				VPXORQ(key, state, state)
			case Keys - 1:
				VAESENCLAST(key, state, state)
			default:
				VAESENC(key, state, state)
			}
		}
	}
}

// Narrow encrypts each state, of one block, in place. There are too few
// registers for the round keys, which are loaded again for each round.
func Narrow(keys Register, states []VecVirtual) {
	key := XMM()
	for i := range Keys {
		MOVUPS(Mem{Base: keys, Disp: i * Block}, key)
		for _, state := range states {
			switch i {
			case 0:
				PXOR(key, state)
			case Keys - 1:
				AESENCLAST(key, state)
			default:
				AESENC(key, state)
			}
		}
	}
}

// States gives count registers.
func States(count int, register func() VecVirtual) []VecVirtual {
	states := make([]VecVirtual, count)
	for i := range states {
		states[i] = register()
	}
	return states
}
