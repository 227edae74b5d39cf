package aes256

import (
	"bytes"
	"crypto/cipher"
	"math/rand/v2"
	"testing"
)

// These are the AES-256 cases of NIST SP 800-38A, F.3.17 and F.3.11.
const (
	nistKey   = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"
	nistIV    = "000102030405060708090a0b0c0d0e0f"
	nistPlain = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
	nistFull  = "dc7e84bfda79164b7ecd8486985d386039ffed143b28b1c832113c6331e5407bdf10132415e54b92a13ed0a8267ae2f975a385741ab9cef82031623d55b1e471"
)

func TestCFBOfNIST(t *testing.T) {
	t.Parallel()
	plain, want := unhex(t, nistPlain), unhex(t, nistFull)
	block, iv := newBlock(unhex(t, nistKey)), [16]byte(unhex(t, nistIV))
	got := make([]byte, len(plain))
	EncryptCFB(block, iv).XORKeyStream(got, plain)
	if !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	DecryptCFB(block, iv).XORKeyStream(got, got)
	if !bytes.Equal(got, plain) {
		t.Errorf("decrypted %x, want %x", got, plain)
	}
}

func TestCFBDoesNotDependOnCalls(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	block := newBlock(unhex(t, nistKey))
	for range 500 {
		plain := make([]byte, random.IntN(100))
		var iv [16]byte
		fill(random, plain)
		fill(random, iv[:])
		want := make([]byte, len(plain))
		EncryptCFB(block, iv).XORKeyStream(want, plain)
		got := inCalls(random, plain, EncryptCFB(block, iv))
		if !bytes.Equal(got, want) {
			t.Fatalf("encrypt %x: %x, want %x", plain, got, want)
		}
		if back := inCalls(random, got, DecryptCFB(block, iv)); !bytes.Equal(back, plain) {
			t.Fatalf("decrypt %x: %x, want %x", got, back, plain)
		}
	}
}

// The reference follows the definition of CFB8: it shifts each byte of ciphertext
// into the register.
func TestCFB8EqualsDefinition(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	block := newBlock(unhex(t, nistKey))
	for range 200 {
		plain := make([]byte, random.IntN(40))
		fill(random, plain)
		var want, register []byte
		register = make([]byte, 16)
		for _, p := range plain {
			output := make([]byte, 16)
			block.Encrypt(output, register)
			want = append(want, p^output[0])
			register = append(register[1:], p^output[0])
		}
		if got := inCalls(random, plain, NewCFB8(block)); !bytes.Equal(got, want) {
			t.Fatalf("encrypt %x: %x, want %x", plain, got, want)
		}
	}
}

// inCalls runs a stream over src in calls of random lengths. In half of the calls,
// the output overwrites the input.
func inCalls(random *rand.Rand, src []byte, stream cipher.Stream) []byte {
	dst := make([]byte, len(src))
	for at := 0; at < len(src); {
		n := min(1+random.IntN(40), len(src)-at)
		if random.IntN(2) == 0 {
			stream.XORKeyStream(dst[at:], src[at:at+n])
		} else {
			copy(dst[at:], src[at:at+n])
			stream.XORKeyStream(dst[at:at+n], dst[at:at+n])
		}
		at += n
	}
	return dst
}
