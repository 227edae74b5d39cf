package merkle

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"strconv"

	"github.com/driveshare/downstream-node/heartbeat/internal/aes256"
)

// window is the part of the file that one challenge covers.
type window struct {
	pos   int64
	index int
	seed  [seedSize]byte
}

// nextSeed returns the seed that follows seed. The root seed precedes seed 0.
func nextSeed(key, seed [seedSize]byte) [seedSize]byte {
	mac := hmac.New(sha256.New, key[:])
	mac.Write(seed[:])
	return [seedSize]byte(mac.Sum(nil))
}

// positionOf returns the position of the window that belongs to seed. The window
// has chunk bytes, in a file of size bytes.
func positionOf(seed [seedSize]byte, size, chunk int64) int64 {
	return position(seed, size-chunk+1)
}

// zeroDigest is the message from which all positions are drawn: the digest of "0".
var zeroDigest = sha256.Sum256([]byte("0"))

// position returns the position of the window that belongs to seed, of the given
// number of positions: KeyedPRF(seed, positions)(0). It computes up to seven bytes
// of the cipher's stream without a cipher.Block, which would be allocated. Only rare
// or very long numbers need more bytes.
func position(seed [seedSize]byte, positions int64) int64 {
	width := bits.Len64(uint64(positions))
	size := (width + 7) / 8
	cipher := aes256.New(&seed)
	// The cipher's register holds the bytes that were drawn so far. KeyStream encrypts
	// this number as its counter.
	var register uint64
	var b [1]byte
	for drawn := range 7 {
		cipher.KeyStream(b[:], register*aes.BlockSize)
		i := drawn % size
		register = register<<8 | uint64(b[0]^zeroDigest[i])
		if i == size-1 {
			if pos := register & (1<<width - 1); pos < uint64(positions) {
				return int64(pos)
			}
		}
	}
	return slowPosition(seed, positions)
}

// slowPosition does the same as position, by the definition.
func slowPosition(seed [seedSize]byte, positions int64) int64 {
	var limit, pos [8]byte
	binary.BigEndian.PutUint64(limit[:], uint64(positions))
	short := bytes.TrimLeft(limit[:], "\x00")
	copy(pos[len(pos)-len(short):], keyedPRF(seed[:], short, 0))
	return int64(binary.BigEndian.Uint64(pos[:]))
}

// keyedPRF returns KeyedPRF(key, limit)(x) of PROTOCOL.md, section 4, a
// pseudorandom number below limit. Numbers are big-endian. limit must be positive
// and as short as possible. The result has the same length as limit.
func keyedPRF(key, limit []byte, x uint64) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // impossible: seeds are 32 bytes
	}
	input := make([]byte, len(limit))
	digest := sha256.Sum256(strconv.AppendUint(nil, x, 10))
	copy(input, digest[:])

	stream := aes256.NewCFB8(block)
	output := make([]byte, len(limit))
	mask := byte(0xff) >> bits.LeadingZeros8(limit[0])
	for { // each draw succeeds with a probability of at least one half
		stream.XORKeyStream(output, input)
		output[0] &= mask
		if bytes.Compare(output, limit) < 0 {
			return output
		}
	}
}

// blobOf returns HMAC(seed, file[pos:pos+chunk]), with pos = positionOf(seed).
func blobOf(ctx context.Context, file io.ReaderAt, size, chunk int64, seed [seedSize]byte) ([]byte, error) {
	mac := hmac.New(sha256.New, seed[:])
	if err := copyRange(ctx, mac, file, positionOf(seed, size, chunk), chunk); err != nil {
		return nil, err
	}
	return mac.Sum(nil), nil
}

// copyRange writes size bytes of file, from offset on, to w.
func copyRange(ctx context.Context, w io.Writer, file io.ReaderAt, offset, size int64) error {
	buffer := make([]byte, min(size, segmentSize))
	for end := offset + size; offset < end; offset += int64(len(buffer)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		buffer = buffer[:min(end-offset, segmentSize)]
		if err := readAt(file, buffer, offset); err != nil {
			return err
		}
		if _, err := w.Write(buffer); err != nil {
			return fmt.Errorf("write the content: %w", err)
		}
	}
	return nil
}

// readAt fills b. It returns io.ErrUnexpectedEOF if the file ends first.
func readAt(file io.ReaderAt, b []byte, offset int64) error {
	n, err := file.ReadAt(b, offset)
	if n == len(b) {
		return nil // err may be io.EOF after the last byte of the file
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read the file at %d: %w", offset, err)
}
