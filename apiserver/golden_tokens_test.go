package apiserver_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/sjcx"
	"github.com/driveshare/downstream-node/internal/store"
)

const from = "X-Forwarded-For"

// signed returns an address and a body for POST /new that the address's owner has
// signed.
func signed(t *testing.T, message string) (owner string, body string) {
	t.Helper()
	key := secp256k1.PrivKeyFromBytes([]byte("not a secret"))
	body = string(asJSON(t, map[string]string{"message": message, "signature": sjcx.Sign(key, message, true)}))
	return sjcx.Address(key.PubKey(), true), body
}

func goldenNew(t *testing.T, s *transcript) {
	token := func(a response) {
		var decoded struct{ Token string }
		if json.Unmarshal([]byte(a.body), &decoded) == nil && decoded.Token != "" {
			s.hide(decoded.Token, "(token)")
		}
	}
	owner, good := signed(t, "mine")

	s.comment("a node without signatures and whitelist gives every valid address a token")
	token(s.get(t, s.replica, "/new/"+address, from, "192.0.2.1"))
	token(s.post(t, s.replica, "/new/"+owner, good, from, "192.0.2.1"))
	s.comment("an invalid address; an address with an extra character; an address that is too long")
	s.get(t, s.replica, "/new/farmer", from, "192.0.2.2")
	s.get(t, s.replica, "/new/"+address+"1", from, "192.0.2.2")
	s.get(t, s.replica, "/new/"+strings.Repeat("1", 200), from, "192.0.2.2")

	s.comment("a node that requires no signature ignores the body: a signature of another message, of another address, not one")
	for i, body := range []string{strings.Replace(good, "mine", "yours", 1), good, `{"message": "mine", "signature": "AAAA"}`} {
		token(s.post(t, s.replica, "/new/"+address, body, from, fmt.Sprintf("192.0.2.1%d", i)))
	}
	s.post(t, s.replica, "/new/farmer", good, from, "192.0.2.2")

	strict := s.open(t, func(c *app.Config) { c.Access.Signatures = true })
	s.comment("a node that requires a signature: none, a good one, of another message, of another address, not one")
	s.get(t, strict, "/new/"+address, from, "192.0.2.4")
	token(s.post(t, strict, "/new/"+owner, good, from, "192.0.2.4"))
	s.post(t, strict, "/new/"+owner, strings.Replace(good, "mine", "yours", 1), from, "192.0.2.2")
	s.post(t, strict, "/new/"+address, good, from, "192.0.2.2")
	s.post(t, strict, "/new/"+owner, `{"message": "mine", "signature": "AAAA"}`, from, "192.0.2.2")
	s.post(t, strict, "/new/farmer", good, from, "192.0.2.2")
	s.comment("bodies without a message or a signature")
	for _, body := range []string{"", "{", "{}", "[]", "null", `{"message": "mine"}`, `{"signature": "AAAA"}`, `{"message": 1, "signature": 2}`} {
		s.post(t, strict, "/new/"+owner, body, from, "192.0.2.2")
	}
	s.comment("a message of 1024 characters, which are more bytes; a message of 1025 characters; a body that is too large")
	_, longest := signed(t, strings.Repeat("ü", 1024))
	token(s.post(t, strict, "/new/"+owner, longest, from, "192.0.2.2"))
	_, long := signed(t, strings.Repeat("x", 1025))
	s.post(t, strict, "/new/"+owner, long, from, "192.0.2.2")
	_, huge := signed(t, strings.Repeat("x", 5000))
	s.post(t, strict, "/new/"+owner, huge, from, "192.0.2.2")

	s.comment("one IP address may have five tokens")
	for range 6 {
		token(s.get(t, s.replica, "/new/"+address, from, "192.0.2.3"))
	}

	closed := s.open(t, func(c *app.Config) { c.Access.Whitelist = true })
	s.comment("a node with a whitelist: the address is not on it, then it is")
	s.get(t, closed, "/new/"+address, from, "192.0.2.5")
	_, err := s.Store.LoadWhitelist(t.Context(), []store.Listed{{Address: address, Balance: 10_000}}, s.Clock.Now())
	must(t, err)
	token(s.get(t, closed, "/new/"+address, from, "192.0.2.5"))
	s.post(t, closed, "/new/"+owner, good, from, "192.0.2.5")
}

func goldenHeartbeat(t *testing.T, s *transcript) {
	f := s.newFarmer(t, 1)
	s.get(t, s.replica, "/heartbeat/"+f.token.Hex())
	s.get(t, s.replica, "/heartbeat/"+strings.ToUpper(f.token.Hex()))
	s.comment("an unknown token; an invalid token")
	s.get(t, s.replica, "/heartbeat/"+strings.Repeat("f", 32))
	s.get(t, s.replica, "/heartbeat/token")
}
