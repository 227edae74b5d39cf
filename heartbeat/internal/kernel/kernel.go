// Package kernel chooses how the packages beside it compute: in portable Go, or
// in assembly for the instructions that the processor has. Each of those
// packages holds one [Choice].
//
// The invariant: every kernel of a package computes the same results, so the
// choice affects speed only.
package kernel

import "slices"

// Kernel names one way to compute.
type Kernel uint8

const (
	Portable Kernel = iota // Go and its standard library, on every processor
	AESNI                  // AES instructions on one block per register
	VAES                   // AES instructions on four blocks per register, with AVX-512
	AVX512                 // 32-bit arithmetic on 16 lanes
	IFMA                   // 52-bit multiplication and addition on 8 lanes, with AVX-512
)

var names = [...]string{"portable", "aesni", "vaes", "avx512", "ifma"}

// String returns the kernel's name in benchmark results.
func (k Kernel) String() string { return names[k] }

// Choice holds the kernels that a package has for this processor, and the one
// that it uses.
type Choice struct {
	available []Kernel
	inUse     Kernel
}

// Choose returns the choice between Portable and those of the tuned kernels
// that this processor can run. tuned must list the fastest kernel first. The
// fastest one is in use. The build tag purego leaves only Portable.
func Choose(tuned ...Kernel) *Choice {
	available := slices.DeleteFunc(tuned, func(k Kernel) bool { return !supported(k) })
	available = append(available, Portable)
	return &Choice{available: available, inUse: available[0]}
}

// Available returns the kernels that this processor can run, the fastest first.
func (c *Choice) Available() []Kernel { return c.available }

// InUse returns the kernel to compute with.
func (c *Choice) InUse() Kernel { return c.inUse }

// Use puts an available kernel in use until restore is called. It is for tests
// and benchmarks. Nothing may be computed with the choice during either call.
func (c *Choice) Use(k Kernel) (restore func()) {
	before := c.inUse
	c.inUse = k
	return func() { c.inUse = before }
}
