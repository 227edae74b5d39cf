package sjcx

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcutil/base58"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// keyOf returns the private key n.
func keyOf(n uint32) *secp256k1.PrivateKey {
	return secp256k1.NewPrivateKey(new(secp256k1.ModNScalar).SetInt(n))
}

func TestAddress(t *testing.T) {
	t.Parallel()
	// The public key of the private key 1 is the generator. Its addresses are
	// well known.
	key := keyOf(1).PubKey()
	if got, want := Address(key, true), "1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH"; got != want {
		t.Errorf("compressed: %s, want %s", got, want)
	}
	if got, want := Address(key, false), "1EHNa6Q4Jz2uvNExL497mE43ikXhwF6kZm"; got != want {
		t.Errorf("uncompressed: %s, want %s", got, want)
	}
}

func TestParseAddress(t *testing.T) {
	t.Parallel()
	long := base58.CheckEncode(bytes.Repeat([]byte{0xff}, 100), 0)
	tests := []struct {
		name, text string
		valid      bool
	}{
		{"P2PKH", "19qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3jV", true},
		{"P2SH", "3P14159f73E4gFr7JterCCQh9QjiTjiZrG", true},
		{"hash of zeros", "1111111111111111111114oLvT2", true},
		{"version without a payload", base58.CheckEncode(nil, 0), true},
		{"longest hash that fits", base58.CheckEncode(make([]byte, maxAddressLength-7), 0), true},
		{"empty", "", false},
		{"last letter changed", "19qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3jW", false},
		{"two letters swapped", "91qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3jV", false},
		{"one more leading zero", "119qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3jV", false},
		{"last letter missing", "19qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3j", false},
		{"a letter outside base58", "19qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3l0", false},
		{"space around", " 19qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3jV", false},
		{"newline after", "19qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3jV\n", false},
		{"letters outside ASCII", "19qVgG8C6eXwKMMyvVegsi3xCsKyk3Zéjš", false},
		{"invalid UTF-8", "\xff\xfe", false},
		{"checksum alone", "3QJmnh", false},
		{"too long with a correct checksum", long, false},
		{"much too long", strings.Repeat("1", 1<<20), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := ParseAddress(tt.text)
			if (err == nil) != tt.valid {
				t.Errorf("%v, want valid: %t", err, tt.valid)
			}
			if err != nil && !errors.Is(err, ErrAddress) {
				t.Errorf("%v is not ErrAddress", err)
			}
		})
	}
}

func TestParseAddressParts(t *testing.T) {
	t.Parallel()
	hash := keyHash(keyOf(7).PubKey(), true)
	version, payload, err := ParseAddress(base58.CheckEncode(hash[:], 5))
	if err != nil || version != 5 || !bytes.Equal(payload, hash[:]) {
		t.Errorf("version %d, payload %x, %v; want 5 and %x", version, payload, err, hash)
	}
}

// FuzzParseAddress checks that an address has one spelling.
func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{
		"", "1", "111111111", "3QJmnh", "19qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3jV", "1Wh4bh",
		"3P14159f73E4gFr7JterCCQh9QjiTjiZrG", "1111111111111111111114oLvT2", "\xff", "é",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		version, payload, err := ParseAddress(text)
		if err != nil {
			if !errors.Is(err, ErrAddress) {
				t.Errorf("%v is not ErrAddress", err)
			}
			return
		}
		if got := base58.CheckEncode(payload, version); got != text {
			t.Errorf("%q is also written %q", text, got)
		}
	})
}
