package main

import "github.com/driveshare/downstream-node/test/bench/report"

// figures are those that the project is held to, with the fastest kernel where
// nothing else is said.
func figures(all results) []report.Figure {
	const (
		encode, prove, verify = "swizzle.Encode/32MiB", "swizzle.Prove/32MiB", "swizzle.Verify/32MiB"
		merkle, wire          = "merkle.Encode/32MiB", "merkle.Verify/32MiB/wire"
		portable              = "/kernel=portable"
		two                   = "-2" // cores
	)
	mul := all.figure("math/big, 1024 × 1024 bits", "swizzle.BigMul1024", nanoseconds)
	sha := all.figure("SHA-256, one lane", "swizzle.SHA256", megabytes)
	lane := all.figure("what one SHA-256 lane allows", merkle+"/limit", megabytes)
	return []report.Figure{
		mul, sha,
		all.figure("Swizzle verify, a challenged block", all.tuned(verify, ""), perBlock).Against(mul).RatioAtMost(1.2),
		all.figure("… portable", verify+portable, perBlock).Against(mul).RatioAtMost(5),
		all.figure("Swizzle verify", all.tuned(verify, ""), microseconds),
		all.figure("Swizzle encode, seed to tag and file hash", all.tuned(encode, ""), megabytes).Against(sha).RatioAtLeast(0.5),
		all.figure("… on two cores", all.tuned(encode, two), megabytes).Against(sha).RatioAtLeast(0.9),
		all.figure("… portable", encode+portable, megabytes).Against(sha),
		all.figure("Swizzle prove", all.tuned(prove, ""), milliseconds).AtMost(1.5),
		all.figure("… portable", prove+portable, milliseconds),
		all.figure("Merkle encode, 256 challenges", all.tuned(merkle, ""), megabytes).Against(lane).RatioAtLeast(1.5),
		all.figure("… portable", merkle+portable, megabytes).Against(lane),
		all.figure("Merkle verify, wire bytes to verdict", wire, microseconds).AtMost(6),
		all.figure("… allocations", wire, allocations).AtMost(0),
		all.figure("Merkle prove", "merkle.Prove/32MiB", microseconds),
	}
}
