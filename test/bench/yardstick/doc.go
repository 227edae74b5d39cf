// Package yardstick holds what the proofs are measured against, as benchmarks:
// what Go's own library does on the same core with the operations that the
// proofs consist of, and the node's whole way from a seed to an encoded chunk.
package yardstick
