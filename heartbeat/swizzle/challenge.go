package swizzle

import (
	"errors"
	"math/big"
)

// fileChallenge names l chunks and their coefficients, in [0, limit), by key.
type fileChallenge struct {
	l     uint32
	key   [keySize]byte
	limit *big.Int // B of section 5
}

func (c fileChallenge) marshal() []byte {
	b := appendU32(nil, c.l)
	b = appendBlock(b, c.key[:])
	return appendInteger(b, c.limit.Bytes())
}

func parseChallenge(b []byte) (fileChallenge, error) {
	d := decoder{rest: b}
	c := fileChallenge{l: d.u32(), key: d.key()}
	c.limit = new(big.Int).SetBytes(d.integer())
	if err := d.end(); err != nil {
		return fileChallenge{}, err
	}
	if c.limit.Sign() == 0 {
		return fileChallenge{}, errors.New("the limit of the coefficients is zero")
	}
	return c, nil
}
