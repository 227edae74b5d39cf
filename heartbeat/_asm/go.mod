// The generators of the assembly kernels: a module of its own, so that the
// project does not depend on what they need.
module github.com/driveshare/downstream-node/heartbeat/_asm

go 1.26

require github.com/mmcloughlin/avo v0.6.0
