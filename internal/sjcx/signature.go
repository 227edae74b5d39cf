package sjcx

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

// A key can be recovered from a signature in up to recoveryIDs ways. firstHeader is the
// first byte of a signature that names the recovery id 0.
const (
	recoveryIDs = 4
	firstHeader = 27
)

// signatureSize is the size in bytes: 1 for the recovery id, 32 for r and 32 for s.
const signatureSize = 65

// maxSignatureLength is the maximum length of a signature in base64, in bytes, without
// the white space around it. A signature needs 88. The rest is for line breaks; the
// decoder ignores them.
const maxSignatureLength = 128

// messagePrefix ensures that a signed message is never a signed transaction. Its
// first byte is the length of the rest.
const messagePrefix = "\x18Bitcoin Signed Message:\n"

// ErrSignature is wrapped by every error about a signature that is not valid for the
// address and the message.
var ErrSignature = errors.New("invalid signature")

// Verify returns nil if the key of the P2PKH address signed message. The
// signature is in base64; white space around it does not matter. Its first byte should
// contain the recovery id and the form of the key, but wallets disagree about this byte.
// Verify ignores it, as the old node did: it tries every recovery id, and the addresses
// of both forms of the key. The error wraps [ErrAddress] or [ErrSignature].
//
// Anyone can turn a valid signature into another valid one for the same message
// and key. So a signature must not be used as an identifier.
func Verify(address, message, signature string) error {
	version, want, err := ParseAddress(address)
	if err != nil {
		return err
	}
	if version != versionP2PKH {
		return fmt.Errorf("%w: an address of version %d does not belong to a key", ErrSignature, version)
	}
	signature = strings.TrimSpace(signature)
	if len(signature) > maxSignatureLength {
		return fmt.Errorf("%w: longer than %d bytes", ErrSignature, maxSignatureLength)
	}
	compact, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if len(compact) != signatureSize {
		return fmt.Errorf("%w: %d bytes, want %d", ErrSignature, len(compact), signatureSize)
	}
	digest := messageDigest(message)
	for id := range byte(recoveryIDs) {
		compact[0] = firstHeader + id
		key, _, err := ecdsa.RecoverCompact(compact, digest[:])
		if err != nil {
			continue // this recovery id gives no key
		}
		for _, compressed := range []bool{true, false} {
			if got := keyHash(key, compressed); bytes.Equal(got[:], want) {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: the key or the message is another one", ErrSignature)
}

// Sign returns a signature of message in base64. [Verify] accepts it for both
// addresses of key. The same arguments return the same signature (RFC 6979).
func Sign(key *secp256k1.PrivateKey, message string, compressed bool) string {
	digest := messageDigest(message)
	return base64.StdEncoding.EncodeToString(ecdsa.SignCompact(key, digest[:], compressed))
}

// messageDigest returns the digest that a signature signs. With H as SHA-256, it is
// H(H(prefix || varint(len) || message)).
func messageDigest(message string) [sha256.Size]byte {
	inner := sha256.New()
	io.WriteString(inner, messagePrefix)
	inner.Write(appendVarint(nil, uint64(len(message))))
	io.WriteString(inner, message)
	return sha256.Sum256(inner.Sum(nil))
}

// appendVarint appends n as Bitcoin's CompactSize.
func appendVarint(b []byte, n uint64) []byte {
	switch {
	case n < 0xfd:
		return append(b, byte(n))
	case n <= math.MaxUint16:
		return binary.LittleEndian.AppendUint16(append(b, 0xfd), uint16(n))
	case n <= math.MaxUint32:
		return binary.LittleEndian.AppendUint32(append(b, 0xfe), uint32(n))
	}
	return binary.LittleEndian.AppendUint64(append(b, 0xff), n)
}
