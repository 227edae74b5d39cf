// Package sjcx holds what the node needs to know about the coin SJCX: whether a
// text is an address, whether the key of an address signed a message, and which
// addresses a whitelist names. The formats are Bitcoin's (PROTOCOL.md, section
// 6).
//
// It is not a wallet: it knows no balances except those in a whitelist, and it
// uses no network. Only the farmer and the tests sign messages.
//
// Invariant: an address has exactly one valid text. So a farmer cannot evade a limit
// for each address by writing one address in two ways.
package sjcx

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcutil/base58"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	//lint:ignore SA1019 deprecated for new formats; Bitcoin's addresses need it
	"golang.org/x/crypto/ripemd160"
)

// maxAddressLength is the maximum length of an address's text, in bytes. An address
// with a hash of 20 bytes has at most 35. The limit is needed because decoding takes
// quadratic time.
const maxAddressLength = 128

// versionP2PKH is the version byte of an address that pays to the hash of a
// public key (P2PKH).
const versionP2PKH = 0

// ErrAddress is wrapped by every error about an invalid address.
var ErrAddress = errors.New("invalid address")

// ParseAddress decodes the base58check text of an address into its version byte and
// its payload. Most payloads are a hash of 20 bytes. The error wraps [ErrAddress].
func ParseAddress(text string) (version byte, payload []byte, err error) {
	if len(text) > maxAddressLength {
		return 0, nil, fmt.Errorf("%w: longer than %d bytes", ErrAddress, maxAddressLength)
	}
	payload, version, err = base58.CheckDecode(text)
	if err != nil {
		return 0, nil, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	return version, payload, nil
}

// Address returns the P2PKH address of key. A key has two addresses: one for its
// compressed form and one for its uncompressed form.
func Address(key *secp256k1.PublicKey, compressed bool) string {
	hash := keyHash(key, compressed)
	return base58.CheckEncode(hash[:], versionP2PKH)
}

// keyHash returns RIPEMD-160(SHA-256(key)).
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
