package sjcx

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcutil/base58"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	//lint:ignore SA1019 deprecated for new formats; this one is Bitcoin's
	"golang.org/x/crypto/ripemd160"
)

// MaxAddressLength is the most bytes that the text of an address may have. An
// address of 20 bytes of hash has at most 35; the time that decoding takes
// grows with the square of the length.
const MaxAddressLength = 128

// versionP2PKH is the version byte of an address that pays to the hash of a
// public key.
const versionP2PKH = 0

// ErrAddress is wrapped by every error about a text that is no address.
var ErrAddress = errors.New("invalid address")

// ParseAddress decodes the base58check text of an address into its version
// byte and what it pays to, for most addresses a hash of 20 bytes. The error
// wraps [ErrAddress].
func ParseAddress(text string) (version byte, payload []byte, err error) {
	if len(text) > MaxAddressLength {
		return 0, nil, fmt.Errorf("%w: longer than %d bytes", ErrAddress, MaxAddressLength)
	}
	payload, version, err = base58.CheckDecode(text)
	if err != nil {
		return 0, nil, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	return version, payload, nil
}

// Valid says whether text is an address, which it is if base58check decodes.
func Valid(text string) bool {
	_, _, err := ParseAddress(text)
	return err == nil
}

// Address returns the P2PKH address of key. A key has two of them, one for
// each way to write it down.
func Address(key *secp256k1.PublicKey, compressed bool) string {
	hash := keyHash(key, compressed)
	return base58.CheckEncode(hash[:], versionP2PKH)
}

// keyHash is RIPEMD-160(SHA-256(key)).
func keyHash(key *secp256k1.PublicKey, compressed bool) (hash [ripemd160.Size]byte) {
	text := key.SerializeUncompressed()
	if compressed {
		text = key.SerializeCompressed()
	}
	inner := sha256.Sum256(text)
	outer := ripemd160.New()
	outer.Write(inner[:])
	outer.Sum(hash[:0])
	return hash
}
