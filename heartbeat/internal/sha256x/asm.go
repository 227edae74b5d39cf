//go:build amd64 && !purego

package sha256x

import (
	"crypto/sha256"
	"encoding/binary"

	"golang.org/x/sys/cpu"
)

// VPSHUFB takes BW, all else F.
var haveAVX512 = cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW

// initial is the state that every hash starts from (FIPS 180-4, 5.3.3).
var initial = [8]uint32{
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
}

// states are the states of a hash in each lane: word k of all in row k.
type states = [8][Lanes]uint32

func setLane(s *states, lane int, state *[8]uint32) {
	for k, word := range state {
		s[k][lane] = word
	}
}

func getLane(s *states, lane int, state *[8]uint32) {
	for k := range state {
		state[k] = s[k][lane]
	}
}

func sumU32s(dst [][Size]byte, x []uint32) {
	if !tuned {
		sumU32sGeneric(dst, x)
		return
	}
	for ; len(x) >= Lanes; dst, x = dst[Lanes:], x[Lanes:] {
		sumU32((*[Lanes][Size]byte)(dst), (*[Lanes]uint32)(x))
	}
	if len(x) > 0 {
		var last [Lanes]uint32
		var digest [Lanes][Size]byte
		copy(last[:], x)
		sumU32(&digest, &last)
		copy(dst, digest[:])
	}
}

// fewest is how many hashes the lanes are worth for: they take as long for one
// as for all.
const fewest = 4

func sums(dst [][Size]byte, messages [][]byte) {
	if !tuned {
		sumsGeneric(dst, messages)
		return
	}
	for ; len(messages) >= fewest; dst, messages = dst[min(Lanes, len(dst)):], messages[min(Lanes, len(messages)):] {
		sumLanes(dst[:min(Lanes, len(dst))], messages[:min(Lanes, len(messages))])
	}
	sumsGeneric(dst, messages)
}

// padded is the last blocks of a message: what is left of it, a bit, zeros,
// and the length in bits.
type padded [2 * BlockSize]byte

// longest is the bytes that a message can have to fit into padded.
const longest = 2*BlockSize - 1 - 8

// pad sets p for a message of size bytes, of which p holds the last held, and
// gives the number of blocks.
func (p *padded) pad(held int, size uint64) (blocks int) {
	blocks = 1
	if held+1+8 > BlockSize {
		blocks = 2
	}
	clear(p[held:])
	p[held] = 0x80
	binary.BigEndian.PutUint64(p[blocks*BlockSize-8:], size*8)
	return blocks
}

// sumLanes hashes one to Lanes messages side by side.
func sumLanes(dst [][Size]byte, messages [][]byte) {
	var (
		last   [Lanes]padded
		data   [Lanes]*byte
		state  states
		digest [2][Lanes][Size]byte // after one block, and two
		count  [Lanes]int           // of blocks
	)
	most := 1
	for i := range data {
		data[i] = &last[i][0]
		setLane(&state, i, &initial)
		if i < len(messages) && len(messages[i]) <= longest {
			copy(last[i][:], messages[i])
			count[i] = last[i].pad(len(messages[i]), uint64(len(messages[i])))
			most = max(most, count[i])
		}
	}
	for k := range most {
		blocks(&state, &data, 1)
		digests(&digest[k], &state)
		for i := range data {
			data[i] = &last[i][BlockSize]
		}
	}
	for i, message := range messages {
		if count[i] == 0 {
			dst[i] = sha256.Sum256(message)
			continue
		}
		dst[i] = digest[count[i]-1][i]
	}
}
