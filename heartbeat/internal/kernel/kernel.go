// Package kernel chooses how the packages aes256, sha256x and wide compute. They
// use portable Go, or assembly with special instructions of the processor. Each of
// these packages holds one [Choice].
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

// Choice holds the kernels that a package can use on this processor, and the kernel
// that it uses now.
type Choice struct {
	available []Kernel
	inUse     Kernel
}

// Choose returns a choice of Portable and of the tuned kernels that this processor
// can run. tuned must list the fastest kernel first. At first, the fastest kernel
// that can run is in use. With the build tag purego, the choice has only Portable.
func Choose(tuned ...Kernel) *Choice {
	available := slices.DeleteFunc(tuned, func(k Kernel) bool { return !supported(k) })
	available = append(available, Portable)
	return &Choice{available: available, inUse: available[0]}
}

// Available returns the kernels that this processor can run, with the fastest
// kernel first.
func (c *Choice) Available() []Kernel { return c.available }

// InUse returns the kernel that the package must use.
func (c *Choice) InUse() Kernel { return c.inUse }

// Use puts an available kernel in use until the caller calls restore. Use is for
// tests and benchmarks. No code may compute with the choice while Use or restore
// runs.
func (c *Choice) Use(k Kernel) (restore func()) {
	before := c.inUse
	c.inUse = k
	return func() { c.inUse = before }
}
