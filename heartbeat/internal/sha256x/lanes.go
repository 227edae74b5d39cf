package sha256x

import (
	"crypto/sha256"
	"encoding/binary"
)

// initial is the state at the start of every hash (FIPS 180-4, section 5.3.3).
var initial = [8]uint32{
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
}

// states holds the state of one hash per lane. Row k holds word k of all lanes.
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

// run holds whole blocks of data that are hashed into a state.
type run struct {
	state *[8]uint32
	data  []byte
}

// hashRuns hashes n runs that do not depend on each other.
func hashRuns(n int, get func(i int) run) {
	i := 0
	lockstep(func(int) run {
		if i == n {
			return run{}
		}
		i++
		return get(i - 1)
	})
}

// lockstep hashes the runs of all lanes side by side. When the current run of a
// lane is complete, lockstep calls next to get the lane's next run. lockstep
// returns when next has returned a run without data for every lane.
func lockstep(next func(lane int) run) {
	var (
		state states
		lanes [Lanes]run
		data  [Lanes]*byte
	)
	for {
		least := 0 // number of bytes in the shortest run
		var some *byte
		for i := range lanes {
			lane := &lanes[i]
			if len(lane.data) == 0 {
				if lane.state != nil {
					getLane(&state, i, lane.state)
				}
				if *lane = next(i); len(lane.data) == 0 {
					lane.state = nil
					data[i] = nil
					continue
				}
				setLane(&state, i, lane.state)
			}
			data[i] = &lane.data[0]
			some = data[i]
			if least == 0 || len(lane.data) < least {
				least = len(lane.data)
			}
		}
		if some == nil {
			return
		}
		for i := range lanes {
			if data[i] == nil {
				data[i] = some // an idle lane hashes any data; its state is never read
				continue
			}
			lanes[i].data = lanes[i].data[least:]
		}
		blocks(&state, &data, least/BlockSize)
	}
}

// sumU32s does what SumU32 does, on lanes.
func sumU32s(dst [][Size]byte, x []uint32) {
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

// fewest is the smallest number of messages for which lanes are faster than hashing
// one message after the other. The lanes take as long for one message as for
// sixteen.
const fewest = 4

// padded holds the last blocks of a message: the last bytes, a one bit, zeros, and
// the length of the message in bits.
type padded [2 * BlockSize]byte

// longest is the size in bytes of the longest message that fits into padded.
const longest = 2*BlockSize - 1 - 8

// pad completes the last blocks of a message of size bytes. The last held bytes of
// the message are already in p. pad returns the number of blocks.
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

// sumLanes hashes one to sixteen messages.
func sumLanes(dst [][Size]byte, messages [][]byte) {
	var (
		last   [Lanes]padded
		data   [Lanes]*byte
		state  states
		digest [2][Lanes][Size]byte // digest of the message after one block, and after two
		count  [Lanes]int           // number of blocks
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
