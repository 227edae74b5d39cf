package node

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// Token is a farmer's bearer secret. The node sends it once and stores only its
// hash.
type Token [16]byte

// TokenHash is the SHA-256 of a token's 16 bytes.
type TokenHash [sha256.Size]byte

// ParseToken returns ErrTokenMalformed for a text that is not 32 hex digits.
var ErrTokenMalformed = errors.New("token is not 32 hex digits")

// NewToken returns a random token.
func NewToken() Token {
	var t Token
	rand.Read(t[:]) // never fails: crypto/rand ends the process instead
	return t
}

// ParseToken parses the text that Hex returns.
func ParseToken(s string) (Token, error) {
	var t Token
	if len(s) != hex.EncodedLen(len(t)) {
		return Token{}, ErrTokenMalformed
	}
	if _, err := hex.Decode(t[:], []byte(s)); err != nil {
		return Token{}, ErrTokenMalformed
	}
	return t, nil
}

// Hex returns the text that farmers get. The method is not called String, so that
// no format verb prints the secret by accident.
func (t Token) Hex() string { return hex.EncodeToString(t[:]) }

// String returns a text for logs. It names the farmer and hides the secret.
func (t Token) String() string { return "token of farmer " + t.Hash().FarmerID() }

// Format hides the secret from every format verb, including %x.
func (t Token) Format(f fmt.State, _ rune) { io.WriteString(f, t.String()) }

// MarshalText hides the secret in JSON, and therefore in JSON logs.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// Hash returns the hash under which the store finds the token.
func (t Token) Hash() TokenHash { return sha256.Sum256(t[:]) }

// farmerIDBytes is the number of bytes of the token's hash that are public.
const farmerIDBytes = 10

// FarmerID returns the public name of the token's farmer: 20 hex digits.
func (h TokenHash) FarmerID() string { return hex.EncodeToString(h[:farmerIDBytes]) }

// ParseFarmerID returns s in lower case. ok is false if s is not a farmer id.
func ParseFarmerID(s string) (id string, ok bool) {
	if len(s) != 2*farmerIDBytes {
		return "", false
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return "", false
	}
	return hex.EncodeToString(b), true
}

// FileHash identifies a file: the SHA-256 of its content.
type FileHash [sha256.Size]byte

// ParseFileHash reads a file hash of 64 hex digits.
func ParseFileHash(s string) (FileHash, bool) {
	var h FileHash
	if len(s) != hex.EncodedLen(len(h)) {
		return FileHash{}, false
	}
	_, err := hex.Decode(h[:], []byte(s))
	return h, err == nil
}

func (h FileHash) String() string { return hex.EncodeToString(h[:]) }
