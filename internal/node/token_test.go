package node

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const (
	tokenHex = "000102030405060708090a0b0c0d0e0f"
	// The first 20 hex digits of the SHA-256 of the bytes 00 to 0f.
	farmerID = "be45cb2605bf36bebde6"
)

func TestParseToken(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "00", tokenHex[1:], tokenHex + "0", tokenHex + tokenHex, "g" + tokenHex[1:], " " + tokenHex[1:],
		strings.Repeat("é", 16), farmerID,
	} {
		if _, err := ParseToken(text); !errors.Is(err, ErrTokenMalformed) {
			t.Errorf("%q: %v, want ErrTokenMalformed", text, err)
		}
	}
	for _, text := range []string{tokenHex, strings.ToUpper(tokenHex)} {
		token, err := ParseToken(text)
		if err != nil || token.Hex() != tokenHex {
			t.Errorf("%q is %s, %v", text, token.Hex(), err)
		}
	}
}

// The farmer id is computed from the token's bytes, not from its hex digits.
func TestFarmerID(t *testing.T) {
	t.Parallel()
	token, err := ParseToken(tokenHex)
	if err != nil {
		t.Fatal(err)
	}
	if got := token.Hash().FarmerID(); got != farmerID {
		t.Errorf("%s, want %s", got, farmerID)
	}
	if sum := sha256.Sum256(token[:]); TokenHash(sum) != token.Hash() {
		t.Errorf("hash %x, want %x", token.Hash(), sum)
	}
	for text, want := range map[string]string{
		farmerID:                  farmerID,
		strings.ToUpper(farmerID): farmerID,
		farmerID[1:]:              "",
		farmerID + "0":            "",
		"g" + farmerID[1:]:        "",
		"":                        "",
	} {
		if got, ok := ParseFarmerID(text); ok != (want != "") || got != want {
			t.Errorf("%q is %q, %t; want %q", text, got, ok, want)
		}
	}
}

func TestNewTokensDiffer(t *testing.T) {
	t.Parallel()
	seen := map[Token]bool{}
	for range 1000 {
		seen[NewToken()] = true
	}
	if len(seen) != 1000 || seen[Token{}] {
		t.Errorf("%d different tokens of 1000", len(seen))
	}
}

// If a token is logged by mistake, the log must show the farmer id and not the
// secret.
func TestTokenHidesItsSecret(t *testing.T) {
	t.Parallel()
	token, err := ParseToken(tokenHex)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&log, nil), slog.NewTextHandler(&log, nil)} {
		slog.New(handler).Info("farmer", "token", token, "in a struct", struct{ T Token }{token}, "pointer", &token)
	}
	for _, verb := range []string{"%v", "%s", "%q", "%+v", "%#v", "%x", "%X", "%d", "%o", "%b", "%U"} {
		fmt.Fprintf(&log, verb+"\n", token)
		fmt.Fprintf(&log, verb+"\n", struct{ T Token }{token})
	}
	asJSON, err := json.Marshal(map[string]any{"token": token, "inside": struct{ T Token }{token}})
	if err != nil {
		t.Fatal(err)
	}
	log.Write(asJSON)

	logged := strings.ToLower(log.String())
	bare := strings.NewReplacer(" ", "", ",", "", "0x", "").Replace(logged)
	for form, secret := range map[string]string{
		"hex":       tokenHex,
		"go syntax": "0123456789abcdef",
		"decimal":   "0123456789101112131415",
	} {
		if strings.Contains(bare, secret) {
			t.Errorf("the log contains the token in %s:\n%s", form, logged)
		}
	}
	if !strings.Contains(logged, farmerID) {
		t.Errorf("the log does not contain the farmer id:\n%s", logged)
	}
}

func TestParseFileHash(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte("content"))
	text := hex.EncodeToString(sum[:])
	for _, good := range []string{text, strings.ToUpper(text)} {
		if h, ok := ParseFileHash(good); !ok || h.String() != text {
			t.Errorf("%q is %v, %t", good, h, ok)
		}
	}
	for _, bad := range []string{"", text[1:], text + "0", "g" + text[1:], tokenHex} {
		if _, ok := ParseFileHash(bad); ok {
			t.Errorf("%q is a file hash", bad)
		}
	}
}

func TestIPHash(t *testing.T) {
	t.Parallel()
	one, two := []byte("one key"), []byte("another key")
	if again := IPHash(one, "192.0.2.1"); IPHash(one, "192.0.2.1") != again {
		t.Error("one address has two hashes")
	}
	if IPHash(one, "192.0.2.1") == IPHash(one, "192.0.2.2") {
		t.Error("two addresses have one hash")
	}
	if IPHash(one, "192.0.2.1") == IPHash(two, "192.0.2.1") {
		t.Error("two keys give the same hash")
	}
	if h := IPHash(one, "192.0.2.1"); len(h) != 32 || strings.Contains(h, "192") {
		t.Errorf("%q is not 32 hex digits", h)
	}
}
