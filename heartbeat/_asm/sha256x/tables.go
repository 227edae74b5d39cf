package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// Each table is emitted when it is first used.
var (
	roundConstants = table("roundConstants", fractions(64, math.Cbrt))
	initialState   = table("initialState", fractions(8, math.Sqrt))
	swapBytes      = table("swapBytes", []uint32{0x00010203, 0x04050607, 0x08090a0b, 0x0c0d0e0f})
	padding        = table("padding", []uint32{1 << 31, 32})
)

func table(name string, words []uint32) func() Mem {
	var made *Mem
	return func() Mem {
		if made == nil {
			m := GLOBL(name, RODATA|NOPTR)
			for i, word := range words {
				DATA(4*i, U32(word))
			}
			made = &m
		}
		return *made
	}
}

// fractions returns the first 32 fractional bits of the roots of the first n primes
// (FIPS 180-4, sections 4.2.2 and 5.3.3). The roots are below 8, so a float64 holds
// at least 49 fractional bits of each root.
func fractions(n int, root func(float64) float64) []uint32 {
	var all []uint32
	for candidate := 2; len(all) < n; candidate++ {
		if prime(candidate) {
			_, fraction := math.Modf(root(float64(candidate)))
			all = append(all, uint32(fraction*(1<<32)))
		}
	}
	return all
}

func prime(n int) bool {
	for d := 2; d*d <= n; d++ {
		if n%d == 0 {
			return false
		}
	}
	return true
}

var labels int

// unique returns a label that no other function of the file has.
func unique(name string) string {
	labels++
	return fmt.Sprintf("%s%d", name, labels)
}
