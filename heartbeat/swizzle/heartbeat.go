package swizzle

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"github.com/driveshare/downstream-node/heartbeat"
)

const (
	keySize = 32 // bytes of a key for AES-256 or HMAC-SHA256

	primeBits      = 1024
	defaultSectors = 10
	// maxSectors limits the memory of a prover that uses an untrusted public
	// heartbeat. With the largest sectors, a chunk is 128 KiB.
	maxSectors = 1024

	flagPrivate = 0
	flagPublic  = 1

	// DefaultCheckFraction is the fraction of a file that a challenge covers by
	// default.
	DefaultCheckFraction = 0.01
)

// field holds the values that both sides have: the prime modulus, and how a file is
// divided into chunks of sectors.
type field struct {
	p          *big.Int
	sectors    int
	sectorSize int // number of bytes in a sector
}

// pSize returns the size in bytes of p and of numbers modulo p.
func (f field) pSize() int { return byteLen(f.p) }

// chunkSize returns the size of a chunk in bytes.
func (f field) chunkSize() int64 { return int64(f.sectors) * int64(f.sectorSize) }

// chunks returns the number of chunks of a file of size bytes. The last chunk is
// not full. If the file fills a whole number of chunks, an empty last chunk
// follows.
func (f field) chunks(size int64) int64 { return size/f.chunkSize() + 1 }

// Heartbeat is the node's side of the scheme. It is immutable.
type Heartbeat struct {
	Wire
	field

	kEnc, kMAC [keySize]byte
	seal       *seal
	fraction   float64
	plan       *plan // if not nil, it replaces fraction
}

var _ heartbeat.Heartbeat = (*Heartbeat)(nil)

// New returns a heartbeat with random keys, a random prime of 1024 bits, and chunks
// of 10 sectors of 128 bytes. checkFraction is the fraction of a file's chunks that
// a challenge covers, from 0 to 1. A challenge covers at least 16 chunks, or all
// chunks if the file has fewer.
func New(checkFraction float64) (*Heartbeat, error) {
	p, err := rand.Prime(rand.Reader, primeBits)
	if err != nil {
		return nil, fmt.Errorf("swizzle: draw a prime: %w", err)
	}
	var kEnc, kMAC [keySize]byte
	rand.Read(kEnc[:])
	rand.Read(kMAC[:])
	f := field{p: p, sectors: defaultSectors, sectorSize: primeBits / 8}
	return newHeartbeat(f, kEnc, kMAC).WithCheckFraction(checkFraction)
}

func newHeartbeat(f field, kEnc, kMAC [keySize]byte) *Heartbeat {
	return &Heartbeat{field: f, kEnc: kEnc, kMAC: kMAC, seal: newSeal(kEnc, kMAC)}
}

// Parse parses the wire form of a private heartbeat, which does not include the
// check fraction. If the wire form cannot be parsed, the error wraps
// heartbeat.ErrMalformed.
func Parse(private json.RawMessage, checkFraction float64) (*Heartbeat, error) {
	h, _, err := parse("private heartbeat", private, parsePrivate)
	if err != nil {
		return nil, err
	}
	return h.WithCheckFraction(checkFraction)
}

// WithCheckFraction returns a heartbeat with the same keys and another check
// fraction, from 0 to 1. Each of the two heartbeats can verify proofs for files
// that the other heartbeat has encoded.
func (h *Heartbeat) WithCheckFraction(checkFraction float64) (*Heartbeat, error) {
	// The condition is negated so that NaN is out of range too.
	if !(checkFraction >= 0 && checkFraction <= 1) {
		return nil, fmt.Errorf("swizzle: check fraction %v is not from 0 to 1", checkFraction)
	}
	other := *h
	other.fraction, other.plan = checkFraction, nil
	return &other, nil
}

// Renew returns a heartbeat with new random keys and the same public wire form.
func (h *Heartbeat) Renew() *Heartbeat {
	other := *h
	rand.Read(other.kEnc[:])
	rand.Read(other.kMAC[:])
	other.seal = newSeal(other.kEnc, other.kMAC)
	return &other
}

// Reseal opens a state that h has sealed, and seals it for other. Both heartbeats must have
// the same public wire form. The file's tag and all its challenges stay valid.
func (h *Heartbeat) Reseal(state []byte, other *Heartbeat) ([]byte, error) {
	s, err := h.openState(state)
	if err != nil {
		return nil, err
	}
	return other.sealState(s), nil
}

// CheckFraction returns the fraction of a file's chunks that a challenge covers.
func (h *Heartbeat) CheckFraction() float64 { return h.fraction }

// Type returns heartbeat.Swizzle.
func (h *Heartbeat) Type() heartbeat.Type { return heartbeat.Swizzle }

// Public returns the public wire form, which contains everything except for the
// keys.
func (h *Heartbeat) Public() json.RawMessage {
	return marshalWire(appendField([]byte{flagPublic}, h.field))
}

// Private returns the private wire form, which includes the keys.
func (h *Heartbeat) Private() json.RawMessage {
	b := appendBlock([]byte{flagPrivate}, h.kEnc[:])
	b = appendBlock(b, h.kMAC[:])
	return marshalWire(appendField(b, h.field))
}

// Prover is the farmer's side of the scheme. It is immutable.
type Prover struct {
	Wire
	field
}

var _ heartbeat.Prover = (*Prover)(nil)

// ParsePublic parses the wire form of a public heartbeat. Its errors wrap
// heartbeat.ErrMalformed.
func ParsePublic(public json.RawMessage) (*Prover, error) {
	f, _, err := parse("public heartbeat", public, parsePublic)
	if err != nil {
		return nil, err
	}
	return &Prover{field: f}, nil
}

// Type returns heartbeat.Swizzle.
func (p *Prover) Type() heartbeat.Type { return heartbeat.Swizzle }

func parsePrivate(b []byte) (*Heartbeat, error) {
	d := decoder{rest: b}
	if flag := d.flag(); d.err == nil && flag != flagPrivate {
		return nil, fmt.Errorf("the flag is %d, want %d: it has no keys, so it is a public heartbeat; use the private one", flag, flagPrivate)
	}
	kEnc, kMAC := d.key(), d.key()
	f := d.field()
	if err := d.end(); err != nil {
		return nil, err
	}
	return newHeartbeat(f, kEnc, kMAC), nil
}

func parsePublic(b []byte) (field, error) {
	d := decoder{rest: b}
	if flag := d.flag(); d.err == nil && flag != flagPublic {
		return field{}, fmt.Errorf("the flag is %d, want %d: it has keys, so it is a private heartbeat; use the public one", flag, flagPublic)
	}
	f := d.field()
	return f, d.end()
}

func appendField(b []byte, f field) []byte {
	b = appendU32(b, uint32(f.sectors))
	b = appendU32(b, uint32(f.sectorSize))
	return appendInteger(b, f.p.Bytes())
}

// field parses sectors, sector_size and p.
func (d *decoder) field() field {
	sectors, sectorSize := d.u32(), d.u32()
	p := new(big.Int).SetBytes(d.integer())
	if d.err != nil {
		return field{}
	}
	switch bits := p.BitLen(); {
	case sectors < 1 || sectors > maxSectors:
		d.err = fmt.Errorf("%d sectors, want 1 to %d", sectors, maxSectors)
	case bits < 8 || bits > primeBits:
		d.err = fmt.Errorf("a prime of %d bits, want 8 to %d", bits, primeBits)
	case p.Bit(0) == 0:
		d.err = errors.New("the prime is even")
	case int(sectorSize) != bits/8:
		d.err = fmt.Errorf("sectors of %d bytes with a prime of %d bits", sectorSize, bits)
	}
	return field{p: p, sectors: int(sectors), sectorSize: int(sectorSize)}
}
