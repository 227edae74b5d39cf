//go:build !amd64 || purego

package sha256x

const haveAVX512 = false

func sumU32s(dst [][Size]byte, x []uint32) { sumU32sGeneric(dst, x) }

func sums(dst [][Size]byte, messages [][]byte) { sumsGeneric(dst, messages) }

// laneMAC is empty where there are no lanes.
type laneMAC struct{}

func newMACs(keys [][Size]byte) []MAC { return newMACsGeneric(keys) }

func interleave(next func(lane int) (*MAC, []byte)) { interleaveGeneric(next) }

func sumMACs(dst [][Size]byte, macs []MAC) { sumMACsGeneric(dst, macs) }
