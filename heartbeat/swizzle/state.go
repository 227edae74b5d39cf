package swizzle

import (
	"crypto/aes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"math/big"

	"github.com/driveshare/downstream-node/heartbeat/internal/cfb"
)

// fileState is what the node keeps of an encoded file; it does not change from
// challenge to challenge.
type fileState struct {
	n        uint32 // chunks
	f, alpha [keySize]byte
}

// sealState gives the binary form: the keys encrypted with kEnc, and all of it
// signed with kMAC.
func (h *Heartbeat) sealState(s fileState) []byte {
	keys := appendBlock(nil, s.f[:])
	keys = appendBlock(keys, s.alpha[:])
	var iv [aes.BlockSize]byte
	rand.Read(iv[:])
	h.keyStream(iv).Encrypt(keys, keys)

	signed := appendU32(nil, s.n)
	signed = appendBlock(signed, iv[:])
	signed = appendBlock(signed, keys)

	raw := appendBlock(nil, signed)
	raw = appendBlock(raw, h.sign(signed))
	return appendBlock(nil, raw)
}

// openState reads the binary form, and refuses with ErrMalformed what this
// heartbeat has not sealed.
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
	if !hmac.Equal(mac, h.sign(signed)) {
		return s, errors.New("the signature does not match: it was changed, or made with another heartbeat")
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
	h.keyStream([aes.BlockSize]byte(iv)).Decrypt(keys, encrypted)
	d = decoder{rest: keys}
	s.f, s.alpha = d.key(), d.key()
	return s, d.end()
}

func (h *Heartbeat) keyStream(iv [aes.BlockSize]byte) *cfb.Full {
	block, err := aes.NewCipher(h.kEnc[:])
	if err != nil {
		panic(err) // not possible: the key is 32 bytes
	}
	return cfb.NewFull(block, iv)
}

func (h *Heartbeat) sign(signed []byte) []byte {
	mac := hmac.New(sha256.New, h.kMAC[:])
	mac.Write(signed)
	return mac.Sum(nil)
}

// fPRF gives each chunk its own secret summand.
func (h *Heartbeat) fPRF(s fileState) *prf { return newPRF(s.f, h.p) }

// alphas are the secret coefficients of the sectors.
func (h *Heartbeat) alphas(s fileState) []*big.Int {
	f := newPRF(s.alpha, h.p)
	alphas := make([]*big.Int, h.sectors)
	for j := range alphas {
		alphas[j] = f.eval(new(big.Int), uint32(j))
	}
	return alphas
}
