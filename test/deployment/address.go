package deployment

import (
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"

	"github.com/driveshare/downstream-node/internal/sjcx"
)

// NewAddress returns the SJCX address of a new random key.
func NewAddress(t testing.TB) string {
	t.Helper()
	key, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	return sjcx.Address(key.PubKey(), true)
}
