package merkle

import (
	"crypto/aes"
	"crypto/hmac"
	"crypto/sha256"
	"math/big"
	"strconv"

	"github.com/driveshare/downstream-node/heartbeat/internal/cfb"
)

// nextSeed gives seed_{i+1} of seed_i, and seed_0 of the root seed.
func nextSeed(key, seed [seedSize]byte) [seedSize]byte {
	mac := hmac.New(sha256.New, key[:])
	mac.Write(seed[:])
	return [seedSize]byte(mac.Sum(nil))
}

// keyedPRF gives the pseudorandom number in [0, limit) that key, an AES key,
// has at x: KeyedPRF(key, limit)(x) of section 4. The limit must be positive.
// Each draw succeeds with a chance of at least one half.
func keyedPRF(key []byte, limit *big.Int, x uint64) *big.Int {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // not possible: seeds are 32 bytes
	}
	bits := limit.BitLen()
	input := make([]byte, (bits+7)/8)
	digest := sha256.Sum256(strconv.AppendUint(nil, x, 10))
	copy(input, digest[:])

	stream := cfb.NewByte(block)
	output := make([]byte, len(input))
	mask := byte(0xff) >> (8*len(input) - bits)
	for number := new(big.Int); ; {
		stream.Encrypt(output, input)
		output[0] &= mask
		if number.SetBytes(output).Cmp(limit) < 0 {
			return number
		}
	}
}
