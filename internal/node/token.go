package node

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// Token is a farmer's bearer secret. It is told once and never stored: the
// store keeps its hash.
type Token [16]byte

// TokenHash is SHA-256 over a token's 16 bytes.
type TokenHash [sha256.Size]byte

// ErrTokenMalformed is returned for a token that is not 32 hex digits.
var ErrTokenMalformed = errors.New("token is not 32 hex digits")

// NewToken makes a random token.
func NewToken() Token {
	var t Token
	rand.Read(t[:]) // never fails: crypto/rand ends the process instead
	return t
}

// ParseToken reads a token as a farmer shows it.
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

// Hex is the form that farmers are given. It is not called String so that no
// format verb prints the secret by accident.
func (t Token) Hex() string { return hex.EncodeToString(t[:]) }

// String hides the secret: a token that reaches a log shows whose it is.
func (t Token) String() string { return "token of farmer " + t.Hash().FarmerID() }

// Format hides it from every verb, also from those that look at the bytes.
func (t Token) Format(f fmt.State, _ rune) { io.WriteString(f, t.String()) }

// MarshalText hides it in JSON, and so in JSON logs.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// Hash is what the store knows the token by.
func (t Token) Hash() TokenHash { return sha256.Sum256(t[:]) }

// farmerIDBytes is how much of the token's hash is public.
const farmerIDBytes = 10

// FarmerID is the public name of the token's farmer: 20 hex digits.
func (h TokenHash) FarmerID() string { return hex.EncodeToString(h[:farmerIDBytes]) }

// ParseFarmerID says whether s has the form of a farmer id.
func ParseFarmerID(s string) (string, bool) {
	if len(s) != 2*farmerIDBytes {
		return "", false
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return "", false
	}
	return hex.EncodeToString(b), true
}

// FileHash names a file: SHA-256 of its content.
type FileHash [sha256.Size]byte

// ParseFileHash reads a file hash as the wire has it, 64 hex digits.
func ParseFileHash(s string) (FileHash, bool) {
	var h FileHash
	if len(s) != hex.EncodedLen(len(h)) {
		return FileHash{}, false
	}
	_, err := hex.Decode(h[:], []byte(s))
	return h, err == nil
}

func (h FileHash) String() string { return hex.EncodeToString(h[:]) }
