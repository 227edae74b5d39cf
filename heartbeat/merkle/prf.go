package merkle

import (
	"bytes"
	"crypto/aes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"strconv"

	"github.com/driveshare/downstream-node/heartbeat/internal/cfb"
)

// nextSeed gives seed_{i+1} of seed_i, and seed_0 of the root seed.
func nextSeed(key, seed [seedSize]byte) [seedSize]byte {
	mac := hmac.New(sha256.New, key[:])
	mac.Write(seed[:])
	return [seedSize]byte(mac.Sum(nil))
}

// positionOf gives where in a file of that size the window of a seed begins.
func positionOf(seed [seedSize]byte, size, chunk int64) int64 {
	var limit, pos [8]byte
	binary.BigEndian.PutUint64(limit[:], uint64(size-chunk+1))
	short := bytes.TrimLeft(limit[:], "\x00")
	copy(pos[len(pos)-len(short):], keyedPRF(seed[:], short, 0))
	return int64(binary.BigEndian.Uint64(pos[:]))
}

// keyedPRF gives the pseudorandom number below limit that key, an AES key, has
// at x: KeyedPRF(key, limit)(x) of section 4. Both numbers are big-endian, the
// limit positive and as short as possible, the result as long as the limit.
// Each draw succeeds with a chance of at least one half.
func keyedPRF(key, limit []byte, x uint64) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // not possible: seeds are 32 bytes
	}
	input := make([]byte, len(limit))
	digest := sha256.Sum256(strconv.AppendUint(nil, x, 10))
	copy(input, digest[:])

	stream := cfb.NewByte(block)
	output := make([]byte, len(limit))
	mask := byte(0xff) >> bits.LeadingZeros8(limit[0])
	for {
		stream.Encrypt(output, input)
		output[0] &= mask
		if bytes.Compare(output, limit) < 0 {
			return output
		}
	}
}
