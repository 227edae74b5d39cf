//go:build attacks

package attacks

import (
	"fmt"
	"net/http"
	"testing"
	"time"

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
