package main

import "github.com/driveshare/downstream-node/test/bench/report"

// blocks is how many a Swizzle challenge covers: 1 % of the 26,215 blocks of
// 10 sectors of 128 bytes that 32 MiB make.
const blocks = 262

// figures are those that the project is held to.
func figures(all results) []report.Figure {
	mul := all.figure("math/big, 1024 × 1024 bits", "yardstick.BigMul1024", "ns/op", "ns", 1)
	sha := all.figure("SHA-256, one lane", "yardstick.SHA256", "MB/s", "MB/s", 1)
	aes := all.figure("AES-256-CTR", "yardstick.AES256CTR", "MB/s", "MB/s", 1)
	return []report.Figure{
		mul, sha, aes,
		all.figure("Swizzle verify, a challenged block", "swizzle.Verify/32MiB"+best, "ns/op", "ns", blocks).
			Against(mul).RatioAtMost(1.2),
		all.figure("Swizzle verify, portable, a challenged block", "swizzle.Verify/32MiB"+portable, "ns/op", "ns", blocks).
			Against(mul).RatioAtMost(5),
		all.figure("Swizzle encode, seed to tag and file hash", "yardstick.SeedToChunk/Swizzle", "MB/s", "MB/s", 1).
			Against(sha).RatioAtLeast(0.5),
		all.figure("Swizzle encode, on two cores", "yardstick.SeedToChunk/Swizzle-2", "MB/s", "MB/s", 1).
			Against(sha).RatioAtLeast(0.9),
		all.figure("Swizzle prove", "swizzle.Prove/32MiB"+best, "ns/op", "ms", 1e6).AtMost(1.5),
		all.figure("Merkle encode, one hash of what its challenges read", "merkle.Encode/32MiB"+best, "MB/s", "MB/s", merkleReads).
			Against(sha).RatioAtLeast(1.5),
		all.figure("Merkle verify, wire bytes to verdict", "merkle.Verify/32MiB/wire", "ns/op", "µs", 1e3).AtMost(6),
		all.figure("… and allocations", "merkle.Verify/32MiB/wire", "allocs/op", "allocations", 1).AtMost(0),
	}
}

// merkleReads turns megabytes of the file into megabytes that are hashed: 256
// challenges of 1 % read 2.56 times the file.
const merkleReads = 1 / 2.56

// The kernels by the names of their sub-benchmarks. A benchmark without any
// runs on the best of them.
const (
	best     = ""
	portable = "/kernel=(portable|generic)"
)
