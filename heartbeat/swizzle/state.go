package swizzle

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"hash"
	"sync"

	"github.com/driveshare/downstream-node/heartbeat/internal/aes256"
)

// fileState is the data that the node stores about an encoded file. Challenges do
// not change it.
type fileState struct {
	n        uint32 // number of chunks
	f, alpha [keySize]byte
}

// sealState returns the binary form of the state. Its keys are encrypted with kEnc,
// and the whole state is signed with kMAC.
func (h *Heartbeat) sealState(s fileState) []byte {
	keys := appendBlock(nil, s.f[:])
	keys = appendBlock(keys, s.alpha[:])
	var iv [aes.BlockSize]byte
	rand.Read(iv[:])
	aes256.EncryptCFB(h.seal.block, iv).XORKeyStream(keys, keys)

	signed := appendU32(nil, s.n)
	signed = appendBlock(signed, iv[:])
	signed = appendBlock(signed, keys)

	raw := appendBlock(nil, signed)
	raw = appendBlock(raw, h.seal.sign(signed))
	return appendBlock(nil, raw)
}

// openState parses the binary form. It returns ErrMalformed if this heartbeat has
// not sealed the state.
func (h *Heartbeat) openState(b []byte) (fileState, error) {
	s, err := h.parseState(b)
	if err != nil {
		return fileState{}, malformed("state", err)
	}
	return s, nil
}

func (h *Heartbeat) parseState(b []byte) (s fileState, err error) {
	d := decoder{rest: b}
	if raw := d.u32(); d.err == nil && uint64(raw) != uint64(len(d.rest)) {
		return s, errShort
	}
	signed := d.cut(d.u32())
	mac := d.block(sha256.Size)
	if err := d.end(); err != nil {
		return s, err
	}
	if !hmac.Equal(mac, h.seal.sign(signed)) {
		return s, errors.New("the signature does not match: the state was changed, or made with another heartbeat")
	}

	d = decoder{rest: signed}
	s.n = d.u32()
	iv := d.block(aes.BlockSize)
	encrypted := d.block(2 * (4 + keySize))
	if err := d.end(); err != nil {
		return s, err
	}
	if s.n == 0 {
		return s, errors.New("no chunks")
	}
	keys := make([]byte, len(encrypted))
	aes256.DecryptCFB(h.seal.block, [aes.BlockSize]byte(iv)).XORKeyStream(keys, encrypted)
	d = decoder{rest: keys}
	s.f, s.alpha = d.key(), d.key()
	return s, d.end()
}

// seal holds the cipher and the MACs of kEnc and kMAC, for all states.
type seal struct {
	block cipher.Block
	macs  sync.Pool // pool of hash.Hash
}

func newSeal(kEnc, kMAC [keySize]byte) *seal {
	block, err := aes.NewCipher(kEnc[:])
	if err != nil {
		panic(err) // impossible: the key is 32 bytes
	}
	s := &seal{block: block}
	s.macs.New = func() any { return hmac.New(sha256.New, kMAC[:]) }
	return s
}

func (s *seal) sign(signed []byte) []byte {
	mac := s.macs.Get().(hash.Hash)
	defer s.macs.Put(mac)
	mac.Reset()
	mac.Write(signed)
	return mac.Sum(nil)
}

// drawAlphas fills dst with the secret coefficients of the sectors, as big-endian
// numbers.
func (h *Heartbeat) drawAlphas(dst []byte, f *prf, s fileState) {
	f.set(&s.alpha, h.p)
	f.draw(dst, firstDigests()[:h.sectors])
}
