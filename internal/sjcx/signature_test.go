package sjcx

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcutil/base58"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

// The constants are the example of PROTOCOL.md, section 6.
const (
	caseMessage   = "test message"
	caseAddress   = "19qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3jV"
	caseSignature = "HyzVUenXXo4pa+kgm1vS8PNJM83eIXFC5r0q86FGbqFcdla6rcw72/ciXiEPfjli3ENfwWuESHhv6K9esI0dl5I="
)

// changed returns caseSignature with change applied to its 65 bytes.
func changed(t testing.TB, change func(compact []byte) []byte) string {
	t.Helper()
	compact, err := base64.StdEncoding.DecodeString(caseSignature)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(change(compact))
}

func TestVerify(t *testing.T) {
	t.Parallel()
	hash := keyHash(keyOf(1).PubKey(), true)
	tests := []struct {
		name, address, message, signature string
		want                              error
	}{
		{"the protocol's example", caseAddress, caseMessage, caseSignature, nil},
		{"white space around base64", caseAddress, caseMessage, " \t\r\n" + caseSignature + "\n\n" + strings.Repeat(" ", 1000), nil},
		{"white space alone", caseAddress, caseMessage, strings.Repeat(" ", 88), ErrSignature},
		{"line breaks in base64", caseAddress, caseMessage, caseSignature[:76] + "\r\n" + caseSignature[76:] + "\n", nil},
		{"another message", caseAddress, "Test message", caseSignature, ErrSignature},
		{"a space after the message", caseAddress, caseMessage + " ", caseSignature, ErrSignature},
		{"no message", caseAddress, "", caseSignature, ErrSignature},
		{"another address", Address(keyOf(1).PubKey(), true), caseMessage, caseSignature, ErrSignature},
		{"no address", "", caseMessage, caseSignature, ErrAddress},
		{"not an address", caseAddress[1:], caseMessage, caseSignature, ErrAddress},
		{"address of a script", base58.CheckEncode(hash[:], 5), "m", Sign(keyOf(1), "m", true), ErrSignature},
		{"address with the key's hash and more", base58.CheckEncode(append(hash[:], 0), 0), "m", Sign(keyOf(1), "m", true), ErrSignature},
		{"no signature", caseAddress, caseMessage, "", ErrSignature},
		{"not base64", caseAddress, caseMessage, "*" + caseSignature[1:], ErrSignature},
		{"base64 for URLs", caseAddress, caseMessage, strings.NewReplacer("+", "-", "/", "_").Replace(caseSignature), ErrSignature},
		{"without padding", caseAddress, caseMessage, strings.TrimRight(caseSignature, "="), ErrSignature},
		{"a byte short", caseAddress, caseMessage, changed(t, func(c []byte) []byte { return c[:64] }), ErrSignature},
		{"a byte long", caseAddress, caseMessage, changed(t, func(c []byte) []byte { return append(c, 0) }), ErrSignature},
		{"very long", caseAddress, caseMessage, strings.Repeat("A", 1<<20), ErrSignature},
		{"r is zero", caseAddress, caseMessage, changed(t, func(c []byte) []byte { clear(c[1:33]); return c }), ErrSignature},
		{"s is zero", caseAddress, caseMessage, changed(t, func(c []byte) []byte { clear(c[33:]); return c }), ErrSignature},
		{"r is the order", caseAddress, caseMessage, changed(t, func(c []byte) []byte { copy(c[1:33], order(t)); return c }), ErrSignature},
		{"s is the order", caseAddress, caseMessage, changed(t, func(c []byte) []byte { copy(c[33:], order(t)); return c }), ErrSignature},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := Verify(tt.address, tt.message, tt.signature); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

// order returns n, the order of the curve's group.
func order(t testing.TB) []byte {
	t.Helper()
	n, err := hex.DecodeString("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The old node ignored the first byte. Deployed wallets write 27 to 34, or 0 to 3.
func TestFirstByteOfASignatureIsIgnored(t *testing.T) {
	t.Parallel()
	for header := range 256 {
		signature := changed(t, func(c []byte) []byte { c[0] = byte(header); return c })
		if err := Verify(caseAddress, caseMessage, signature); err != nil {
			t.Errorf("header %d: %v", header, err)
		}
		if err := Verify(Address(keyOf(1).PubKey(), true), caseMessage, signature); !errors.Is(err, ErrSignature) {
			t.Errorf("header %d, another address: %v, want ErrSignature", header, err)
		}
	}
}

// TestEveryOtherByteOfASignatureCounts flips one bit of each byte after the first.
func TestEveryOtherByteOfASignatureCounts(t *testing.T) {
	t.Parallel()
	for i := 1; i < signatureSize; i++ {
		flipped := changed(t, func(c []byte) []byte { c[i] ^= 1 << (i % 8); return c })
		if err := Verify(caseAddress, caseMessage, flipped); !errors.Is(err, ErrSignature) {
			t.Errorf("a bit of byte %d flipped: %v, want ErrSignature", i, err)
		}
	}
}

func TestSignVerify(t *testing.T) {
	t.Parallel()
	// The varint of the length changes its form at 253 and at 65536.
	for _, length := range []int{0, 1, 252, 253, 1024, 65535, 65536} {
		message := strings.Repeat("é", length)[:length]
		for _, compressed := range []bool{true, false} {
			signature := Sign(keyOf(42), message, compressed)
			for _, address := range []string{Address(keyOf(42).PubKey(), true), Address(keyOf(42).PubKey(), false)} {
				if err := Verify(address, message, signature); err != nil {
					t.Errorf("%d bytes, compressed %t, %s: %v", length, compressed, address, err)
				}
			}
		}
	}
}

func TestVarint(t *testing.T) {
	t.Parallel()
	for n, want := range map[uint64]string{
		0:          "00",
		0xfc:       "fc",
		0xfd:       "fdfd00",
		0xffff:     "fdffff",
		0x10000:    "fe00000100",
		0xffffffff: "feffffffff",
		1 << 32:    "ff0000000001000000",
	} {
		if got := hex.EncodeToString(appendVarint(nil, n)); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

// TestMalleability replaces s by n - s. The recovered y of R is then the other y. The result is
// also a valid signature. Verify accepts it, as the old node did.
func TestMalleability(t *testing.T) {
	t.Parallel()
	twin := changed(t, func(c []byte) []byte {
		var s secp256k1.ModNScalar
		s.SetByteSlice(c[33:])
		negated := s.Negate().Bytes()
		copy(c[33:], negated[:])
		return c
	})
	if twin == caseSignature {
		t.Fatal("the twin equals the signature")
	}
	if err := Verify(caseAddress, caseMessage, twin); err != nil {
		t.Errorf("the twin: %v", err)
	}
}

// TestHighRecoveryID makes a signature with a point R that has an x above the order n.
// Such a point is too rare to find by signing. In the signature, r is x - n, and the
// recovery id is 2 or 3. The test does not know the discrete logarithm of R, so it
// cannot sign with a chosen key. It uses the key that the signature recovers.
func TestHighRecoveryID(t *testing.T) {
	t.Parallel()
	digest := messageDigest(caseMessage)
	for _, header := range []byte{29, 30, 33, 34} {
		compact := append(make([]byte, 0, signatureSize), header)
		compact = append(compact, make([]byte, 64)...)
		compact[64] = 9 // any s
		var key *secp256k1.PublicKey
		for r := byte(1); key == nil && r < 100; r++ {
			compact[32] = r
			key, _, _ = ecdsa.RecoverCompact(compact, digest[:])
		}
		if key == nil {
			t.Fatalf("header %d: no r below 100 is on the curve", header)
		}
		var r, s secp256k1.ModNScalar
		r.SetByteSlice(compact[1:33])
		s.SetByteSlice(compact[33:])
		if !ecdsa.NewSignature(&r, &s).Verify(digest[:], key) {
			t.Fatalf("header %d: the signature is not valid", header)
		}
		signature := base64.StdEncoding.EncodeToString(compact)
		if err := Verify(Address(key, true), caseMessage, signature); err != nil {
			t.Errorf("header %d: %v", header, err)
		}
	}
}

// FuzzVerify checks that Verify returns only its two documented errors, and that it
// never accepts one signature for two messages.
func FuzzVerify(f *testing.F) {
	f.Add(caseAddress, caseMessage, caseSignature)
	f.Add(caseAddress, "", caseSignature)
	f.Add("", "", "")
	f.Add(caseAddress, caseMessage, strings.Repeat("/", 88))
	f.Add(caseAddress, caseMessage, strings.Repeat("A", 87)+"=")
	f.Add(Address(keyOf(3).PubKey(), false), "ü", Sign(keyOf(3), "ü", true))
	f.Fuzz(func(t *testing.T, address, message, signature string) {
		err := Verify(address, message, signature)
		if err != nil {
			if !errors.Is(err, ErrAddress) && !errors.Is(err, ErrSignature) {
				t.Errorf("%v is neither ErrAddress nor ErrSignature", err)
			}
			return
		}
		if Verify(address, message+"x", signature) == nil {
			t.Errorf("%q signs %q with and without an x", signature, message)
		}
	})
}

// FuzzSign checks that a signature is valid only for its message and key.
func FuzzSign(f *testing.F) {
	f.Add(uint32(1), caseMessage, true)
	f.Add(uint32(0xffffffff), "", false)
	f.Fuzz(func(t *testing.T, n uint32, message string, compressed bool) {
		if n == 0 {
			return // 0 is not a key
		}
		signature := Sign(keyOf(n), message, compressed)
		if err := Verify(Address(keyOf(n).PubKey(), compressed), message, signature); err != nil {
			t.Error(err)
		}
		if Verify(Address(keyOf(n).PubKey(), compressed), message+"\x00", signature) == nil {
			t.Error("valid for another message")
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for b.Loop() {
		if err := Verify(caseAddress, caseMessage, caseSignature); err != nil {
			b.Fatal(err)
		}
	}
}
