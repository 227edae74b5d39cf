//go:build attacks

package attacks

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/test/deployment"
)

// behindProxy lets attackers choose their IP address with X-Forwarded-For.
func behindProxy(settings deployment.Settings) deployment.Settings {
	settings["api.trustedProxies"] = "127.0.2.0/24"
	return settings
}

// get sends a request with further headers, given as pairs, and returns its status.
func (a *attacker) get(path string, headers ...string) int {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), http.MethodGet, a.base+path, nil)
	testenv.Must(a.t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := a.http.Do(r)
	testenv.Must(a.t, err)
	resp.Body.Close()
	return resp.StatusCode
}

const forwarded = "X-Forwarded-For"

// An attacker registers tokens from 200 addresses of one IPv6 network. It must get as
// many as one IPv4 address.
func TestOneIPv6Network(t *testing.T) {
	const most = 5 // the default of contracts.tokensPerIP
	s := begin(t, behindProxy(deployment.Settings{"contracts.interval": "20s"}), inventory)
	a := s.attacker(t, 1)
	got := 0
	s.during(t, "identities, one IPv6 network", mostGrowth, func() {
		for i := range 200 {
			if a.get("/new/"+deployment.NewAddress(t), forwarded, fmt.Sprintf("2001:db8:1:2:%x::1", 1+i)) == http.StatusOK {
				got++
			}
		}
		if empty := s.newcomers(t, 8); empty > 0 {
			t.Errorf("%d newcomers got no contract", empty)
		}
	})
	if got != most {
		t.Errorf("the attacker got %d tokens, want %d", got, most)
	}
	if status := a.get("/new/"+deployment.NewAddress(t), forwarded, "2001:db8:1:3::1"); status != http.StatusOK {
		t.Errorf("a farmer of the next network got the status %d", status)
	}
}

// An attacker registers as many tokens as an address may have, and uses none. The
// other users of this address must get a token when the unused ones have expired.
func TestUnusedTokens(t *testing.T) {
	const shared = "198.51.100.1"
	s := begin(t, behindProxy(deployment.Settings{"contracts.unusedTokenLife": "3s"}), inventory)
	a := s.attacker(t, 1)
	s.during(t, "identities, unused tokens", mostGrowth, func() {
		for a.get("/new/"+deployment.NewAddress(t), forwarded, shared) == http.StatusOK {
		}
		began := time.Now()
		await(t, "another user of the address gets a token", func() bool {
			return a.get("/new/"+deployment.NewAddress(t), forwarded, shared) == http.StatusOK
		})
		if took := time.Since(began); took < 2*time.Second {
			t.Errorf("the unused tokens expired after %v", took)
		}
	})
}

// An attacker registers tokens at one address, takes contracts, and then uses the
// tokens from a second address, again and again. It must get what two addresses may
// have, and honest farmers must still get contracts.
func TestTokensUsedElsewhere(t *testing.T) {
	const (
		here, there = "198.51.100.3", "198.51.100.4"
		tokensPerIP = 5 // the default of contracts.tokensPerIP
	)
	s := begin(t, behindProxy(deployment.Settings{"contracts.interval": "60s"}), inventory)
	a := s.attacker(t, 1)
	var tokens []string
	s.during(t, "identities, tokens used elsewhere", mostGrowth, func() {
		for range 6 {
			var fresh []string
			for range 2 * tokensPerIP {
				token, ok := a.register(here)
				if !ok {
					break
				}
				fresh = append(fresh, token)
			}
			for range 4 {
				for _, token := range fresh {
					a.get("/chunk/"+token+"/"+everything, forwarded, here)
				}
			}
			tokens = append(tokens, fresh...)
			for _, token := range tokens {
				if status := a.get("/heartbeat/"+token, forwarded, there); status != http.StatusOK {
					t.Errorf("a request from the other address got the status %d", status)
				}
				a.get("/chunk/"+token+"/"+everything, forwarded, there)
			}
		}
		if empty := s.newcomers(t, 8); empty > 0 {
			t.Errorf("%d newcomers got no contract", empty)
		}
	})
	// A token whose contracts do not fit at the second address stays at the first one.
	if n := len(tokens); n <= tokensPerIP || n > 2*tokensPerIP {
		t.Errorf("the attacker got %d tokens, want at most %d", n, 2*tokensPerIP)
	}
	got, most := a.held(tokens), int64(2*node.UnprovenFactor*perToken)
	t.Logf("%d tokens and %d contracts", len(tokens), got)
	if got == 0 || got > most {
		t.Errorf("the attacker holds %d contracts, want at most %d", got, most)
	}
}

// register asks for a token from an address, and reports whether the node gave one.
func (a *attacker) register(ip string) (token string, ok bool) {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), http.MethodGet, a.base+"/new/"+deployment.NewAddress(a.t), nil)
	testenv.Must(a.t, err)
	r.Header.Set(forwarded, ip)
	resp, err := a.http.Do(r)
	testenv.Must(a.t, err)
	defer resp.Body.Close()
	var told struct{ Token string }
	testenv.Must(a.t, json.NewDecoder(resp.Body).Decode(&told))
	return told.Token, resp.StatusCode == http.StatusOK
}

// A page of another site makes its visitors' browsers send requests for tokens and
// contracts. They must not use up the visitors' limits.
func TestCrossSite(t *testing.T) {
	s := begin(t, behindProxy(deployment.Settings{"contracts.interval": "20s"}), inventory)
	a := s.attacker(t, 1)
	const visitor = "198.51.100.2"
	s.during(t, "identities, a page of another site", mostGrowth, func() {
		for range 50 {
			if status := a.get("/new/"+deployment.NewAddress(t), forwarded, visitor, "Sec-Fetch-Site", "cross-site"); status != http.StatusForbidden {
				t.Errorf("status %d, want 403", status)
			}
		}
	})
	if status := a.get("/new/"+deployment.NewAddress(t), forwarded, visitor); status != http.StatusOK {
		t.Errorf("the visitor's own request got the status %d", status)
	}
}
