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

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

// signatureSize is a byte for the recovery id, 32 for r and 32 for s.
const signatureSize = 65

// maxSignatureLength bounds the base64 of a signature: 88 bytes, and some for
// the line breaks that base64 ignores.
const maxSignatureLength = 128

// messagePrefix sets signed messages apart from signed transactions; the first
// byte is the length of the rest.
const messagePrefix = "\x18Bitcoin Signed Message:\n"

// ErrSignature is wrapped by every error about a signature that does not show
// that a message comes from the owner of an address.
var ErrSignature = errors.New("invalid signature")

// Verify returns nil if signature, in base64, was made over message with the
// key of the P2PKH address. Whether the signature says that the key was
// compressed does not count; the address does, in either form. The error wraps
// [ErrAddress] or [ErrSignature].
//
// A good signature can be turned into another good one by anybody, so a
// signature identifies nothing; it only shows who signed.
func Verify(address, message, signature string) error {
	version, want, err := ParseAddress(address)
	if err != nil {
		return err
	}
	if version != versionP2PKH {
		return fmt.Errorf("%w: an address of version %d has no key that could sign", ErrSignature, version)
	}
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
	key, _, err := ecdsa.RecoverCompact(compact, digest[:])
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	for _, compressed := range []bool{true, false} {
		if got := keyHash(key, compressed); bytes.Equal(got[:], want) {
			return nil
		}
	}
	return fmt.Errorf("%w: made with the key of another address or over another message", ErrSignature)
}

// Sign returns the base64 of a signature of message, which [Verify] takes for
// either address of key. The same arguments give the same signature (RFC
// 6979).
func Sign(key *secp256k1.PrivateKey, message string, compressed bool) string {
	digest := messageDigest(message)
	return base64.StdEncoding.EncodeToString(ecdsa.SignCompact(key, digest[:], compressed))
}

// messageDigest is what is signed: H(H(prefix || varint(len) || message)).
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
