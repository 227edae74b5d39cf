package aes256

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"

	"github.com/driveshare/downstream-node/heartbeat/internal/kernel"
)

// EncryptCFB returns a stream that encrypts in cipher feedback mode with segments
// of whole blocks (NIST SP 800-38A, section 6.3, with s = 128). A call may end
// inside a block, and the next call continues there.
func EncryptCFB(block cipher.Block, iv [aes.BlockSize]byte) cipher.Stream {
	//lint:ignore SA1019 PROTOCOL.md prescribes this mode
	return cipher.NewCFBEncrypter(block, iv[:])
}

// DecryptCFB returns a stream that decrypts the output of a stream of EncryptCFB.
func DecryptCFB(block cipher.Block, iv [aes.BlockSize]byte) cipher.Stream {
	//lint:ignore SA1019 PROTOCOL.md prescribes this mode
	return cipher.NewCFBDecrypter(block, iv[:])
}

// CFB8 is a stream that encrypts in cipher feedback mode with segments of one byte
// (NIST SP 800-38A, section 6.3, with s = 8). Its initialisation vector is all
// zeros. It is not safe for concurrent use.
type CFB8 struct {
	block            cipher.Block
	register, output [aes.BlockSize]byte
}

// NewCFB8 starts a stream.
func NewCFB8(block cipher.Block) *CFB8 { return &CFB8{block: block} }

// XORKeyStream encrypts src into dst. dst must be at least as long as src, and
// may be the same slice.
func (f *CFB8) XORKeyStream(dst, src []byte) {
	for i, plain := range src {
		f.block.Encrypt(f.output[:], f.register[:])
		encrypted := plain ^ f.output[0]
		copy(f.register[:], f.register[1:])
		f.register[aes.BlockSize-1] = encrypted
		dst[i] = encrypted
	}
}

// DigestSize is the size in bytes of the digest that a chain draws from.
const DigestSize = 32

// Chains runs one [EncryptCFB] stream per short message. All streams have the same
// key and an initialisation vector of zeros. These are the draws of PROTOCOL.md,
// section 5. The message of a chain is its digest, padded with zeros or cut to the
// size of a draw. Each further draw of a chain encrypts the same message again and
// continues the chain's stream. Chains is safe for concurrent use.
type Chains struct {
	cipher Cipher
	first  [aes.BlockSize]byte // the encryption of zeros, which starts every chain
}

// NewChains returns the chains under key.
func NewChains(key *[32]byte) *Chains { return newChains(New(key)) }

func newChains(cipher Cipher) *Chains {
	c := &Chains{cipher: cipher}
	c.cipher.KeyStream(c.first[:], 0)
	return c
}

// Expand sets dst[i*size:(i+1)*size] to the first draw of size bytes from
// digests[i], for each i. dst must hold at least size*len(digests) bytes. Draws of
// whole blocks are fast, and so are draws that end within the first block.
func (c *Chains) Expand(dst []byte, size int, digests [][DigestSize]byte) {
	c.draw(request{dst, size, digests, nil, 0})
}

// Redraw replaces the draws of some chains with their next draws. which lists the
// indices of these chains, each at most once. The other arguments are those of
// [Chains.Expand], and dst must hold the latest draws unchanged. draw is the number
// of draws that these chains have made so far. It is 1 for the first Redraw.
func (c *Chains) Redraw(dst []byte, size int, digests [][DigestSize]byte, which []uint32, draw int) {
	if len(which) > 0 {
		c.draw(request{dst, size, digests, which, draw})
	}
}

func (c *Chains) draw(r request) {
	switch {
	case (r.draw+1)*r.size <= aes.BlockSize:
		c.drawShort(r)
	case r.size%aes.BlockSize != 0:
		c.replay(r)
	default:
		c.drawBlocks(r)
	}
}

// request holds the arguments of Expand or Redraw.
type request struct {
	dst     []byte
	size    int
	digests [][DigestSize]byte
	which   []uint32 // nil means all chains
	draw    int
}

// count returns the number of chains to draw from.
func (r *request) count() int {
	if r.which != nil {
		return len(r.which)
	}
	return len(r.digests)
}

// chain returns the output and the digest of chain i of the request.
func (r *request) chain(i int) ([]byte, *[DigestSize]byte) {
	if r.which != nil {
		i = int(r.which[i])
	}
	return r.dst[i*r.size:][:r.size:r.size], &r.digests[i]
}

// drawShort makes draws that end within the first block of a chain. The keystream
// of the first block is the same for all chains.
func (c *Chains) drawShort(r request) {
	key := c.first[r.draw*r.size:][:r.size]
	for i := range r.count() {
		dst, digest := r.chain(i)
		for b := range key {
			dst[b] = key[b] ^ digest[b]
		}
	}
}

// replay makes draws of any size. It repeats all earlier draws of each chain.
func (c *Chains) replay(r request) {
	block := c.cipher.portable()
	message := make([]byte, r.size)
	for i := range r.count() {
		dst, digest := r.chain(i)
		copy(message, digest[:])
		stream := EncryptCFB(block, [aes.BlockSize]byte{})
		for range r.draw + 1 {
			stream.XORKeyStream(dst, message)
		}
	}
}

// drawBlocks makes draws of whole blocks. In each step it makes one draw for each
// lane of the kernel.
func (c *Chains) drawBlocks(r request) {
	var first *[aes.BlockSize]byte
	if r.draw == 0 {
		first = &c.first
	}
	switch c.cipher.kernel {
	case kernel.VAES:
		var lanes [16][2]*byte
		for from := 0; from < r.count(); from += len(lanes) {
			r.fill(lanes[:], from)
			drawVAES(&c.cipher.keys, first, r.size, &lanes)
		}
	case kernel.AESNI:
		var lanes [8][2]*byte
		for from := 0; from < r.count(); from += len(lanes) {
			r.fill(lanes[:], from)
			drawNI(&c.cipher.keys, first, r.size, &lanes)
		}
	default:
		c.drawBlocksPortable(r)
	}
}

// fill points each lane to the output and the digest of one chain, starting with
// the chain at index from. If there are fewer chains than lanes, the other lanes
// repeat the last chain. This is safe because a kernel reads every block before it
// writes a block, so it writes the same bytes twice.
func (r *request) fill(lanes [][2]*byte, from int) {
	if r.which == nil && from+len(lanes) <= len(r.digests) {
		r.fillInOrder(lanes, from)
		return
	}
	last := r.count() - 1
	for i := range lanes {
		dst, digest := r.chain(min(from+i, last))
		lanes[i] = [2]*byte{&dst[0], &digest[0]}
	}
}

// fillInOrder does what fill does, but only for consecutive chains, one for each
// lane. This is the usual case. fillInOrder makes the whole draw a tenth faster.
func (r *request) fillInOrder(lanes [][2]*byte, from int) {
	digests := r.digests[from:][:len(lanes)]
	size := r.size
	dst := r.dst[from*size:][:len(lanes)*size]
	at := 0
	for i := range digests {
		lanes[i] = [2]*byte{&dst[at], &digests[i][0]}
		at += size
	}
}

func (c *Chains) drawBlocksPortable(r request) {
	block := c.cipher.portable()
	for i := range r.count() {
		dst, digest := r.chain(i)
		if r.draw == 0 {
			copy(dst, c.first[:])
		} else {
			block.Encrypt(dst, dst[len(dst)-aes.BlockSize:])
		}
		subtle.XORBytes(dst, dst, digest[:aes.BlockSize])
		// After the digest the message is zeros, so each block is the encryption
		// of the block before it.
		for at := aes.BlockSize; at < len(dst); at += aes.BlockSize {
			block.Encrypt(dst[at:], dst[at-aes.BlockSize:])
			if at < DigestSize {
				subtle.XORBytes(dst[at:], dst[at:], digest[at:])
			}
		}
	}
}
