package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/driveshare/downstream-node/internal/node"
)

func TestToken(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		hash := node.NewToken().Hash()
		_, err := f.Token(ctx, hash)
		wantErr(t, err, ErrNotFound)

		location := &node.Location{Country: "Ísland", City: strings.Repeat("🏔", 200), Lat: 64.1466, Lon: -21.9426}
		must(t, f.CreateToken(ctx, NewToken{hash, "address", "192.0.2.1", location, f.key}, TokenLimits{}, start))
		got, err := f.Token(ctx, hash)
		must(t, err)
		want := Token{
			ID: got.ID, Hash: hash, FarmerID: hash.FarmerID(), AddressID: got.AddressID,
			Address: "address", KeyID: f.key, IP: "192.0.2.1", Created: start,
		}
		if got != want {
			t.Errorf("token %+v, want %+v", got, want)
		}
		l := f.farmer(t, got, start).Location
		if l == nil || l.Country != "Ísland" || l.Lat != 64.1466 || l.Lon != -21.9426 || !strings.HasPrefix(location.City, l.City) {
			t.Errorf("location %+v", l)
		}

		f.move(t, &got, "192.0.2.2", nil)
		for ip, want := range map[string]int64{"192.0.2.1": 0, "192.0.2.2": 1} {
			if n := f.count(t, "tokens", "ip = ?", ip); n != want {
				t.Errorf("%d tokens at %s, want %d", n, ip, want)
			}
		}
		if farmer := f.farmer(t, got, start); farmer.IP != "192.0.2.2" || farmer.Location != nil {
			t.Errorf("moved farmer: %+v", farmer)
		}
		_, err = f.MoveToken(ctx, got.ID+1, "192.0.2.2", nil, HandOutLimits{})
		wantErr(t, err, ErrNotFound)

		f.contracts(t, got, start, 10, 20)
		must(t, f.DeleteToken(ctx, got.FarmerID, start))
		wantErr(t, f.DeleteToken(ctx, got.FarmerID, start), ErrNotFound)
		if n := f.count(t, "contracts", "1 = 1"); n != 0 {
			t.Errorf("%d contracts of a deleted token", n)
		}
	})
}

func TestTokensPerIP(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		const limit, tries = 5, 24
		stores := []*Store{f.Store, openStore(t, f.cfg)}
		var made, refused atomic.Int64
		var wg sync.WaitGroup
		for i := range tries {
			wg.Go(func() {
				err := stores[i%2].CreateToken(t.Context(), NewToken{
					Hash: node.NewToken().Hash(), Address: fmt.Sprintf("address %d", i%3), IP: "192.0.2.1", KeyID: f.key,
				}, TokenLimits{TokensPerIP: limit}, start)
				switch {
				case err == nil:
					made.Add(1)
				case errors.Is(err, ErrTooManyTokens):
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if made.Load() != limit || refused.Load() != tries-limit {
			t.Errorf("%d created, %d refused; want %d and %d", made.Load(), refused.Load(), limit, tries-limit)
		}
	})
}

func whitelist(addresses ...string) []Listed {
	list := make([]Listed, len(addresses))
	for i, a := range addresses {
		list[i] = Listed{Address: a, Balance: 10000}
	}
	return list
}

func TestWhitelist(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		create := func(address string) error {
			return f.CreateToken(ctx, NewToken{Hash: node.NewToken().Hash(), Address: address, IP: "192.0.2.1", KeyID: f.key},
				TokenLimits{Whitelist: true}, start)
		}
		load := func(want WhitelistChange, list ...Listed) {
			t.Helper()
			plan, err := f.PlanWhitelist(ctx, list)
			must(t, err)
			got, err := f.LoadWhitelist(ctx, list, start)
			must(t, err)
			if got != want || plan != want {
				t.Errorf("change %+v after the plan %+v, want %+v", got, plan, want)
			}
		}
		stranger, stays := f.token(t, "stranger"), f.token(t, "stays")
		f.contracts(t, stranger, start, 10, 20)
		f.contracts(t, stays, start, 10)
		wantErr(t, create("stays"), ErrNotWhitelisted) // the SJCX address is in the table but not whitelisted

		load(WhitelistChange{Added: 2, Removed: 1, Tokens: 1, Contracts: 2}, whitelist("stays", "new")...)
		must(t, create("stays"))
		must(t, create("new"))
		wantErr(t, create("stranger"), ErrNotWhitelisted)
		_, err := f.Token(ctx, stranger.Hash)
		wantErr(t, err, ErrNotFound)
		if n := f.farmer(t, stays, start).Contracts; n != 1 {
			t.Errorf("%d contracts of an address that is still whitelisted", n)
		}

		must(t, f.AllowAddress(ctx, Listed{Address: "one more"}))
		must(t, f.AllowAddress(ctx, Listed{Address: "one more", Balance: 7}))
		must(t, create("one more"))
		load(WhitelistChange{Added: 0, Kept: 1, Removed: 2, Tokens: 2}, whitelist("stays")...)
		f.checkInvariant(t)

		must(t, f.AllowAddress(ctx, Listed{Address: "leaver"}))
		list, err := f.Whitelist(ctx)
		must(t, err)
		want := []WhitelistEntry{{"leaver", 0, true, 0, 0}, {"stays", 10000, true, 2, 1}}
		if !slices.Equal(list, want) {
			t.Errorf("the whitelist is %+v, want %+v", list, want)
		}
		tokens, contracts, err := f.RemoveAddress(ctx, "stays", start)
		must(t, err)
		if tokens != 2 || contracts != 1 {
			t.Errorf("removed with %d tokens and %d contracts", tokens, contracts)
		}
		_, _, err = f.RemoveAddress(ctx, "stays", start)
		wantErr(t, err, ErrNotFound)
		f.checkInvariant(t)
	})
}

// An SJCX address whose balance fell below the minimum keeps its tokens and
// contracts, and gets no new tokens until its balance has risen again.
func TestLowBalanceKeepsContracts(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		create := func(address string) error {
			return f.CreateToken(ctx, NewToken{Hash: node.NewToken().Hash(), Address: address, IP: "192.0.2.1", KeyID: f.key},
				TokenLimits{Whitelist: true}, start)
		}
		token := f.token(t, "poor")
		f.contracts(t, token, start, 10)
		for _, c := range []struct {
			low    bool
			change WhitelistChange
			create error
		}{
			{false, WhitelistChange{Added: 2}, nil},
			{true, WhitelistChange{Kept: 1, Low: 1}, ErrNotWhitelisted},
			{true, WhitelistChange{Kept: 1, Low: 1}, ErrNotWhitelisted},
			{false, WhitelistChange{Added: 1, Kept: 1}, nil},
		} {
			change, err := f.LoadWhitelist(ctx, []Listed{{"poor", 1, c.low}, {"rich", 10000, false}, {"unknown", 1, true}}, start)
			must(t, err)
			if change != c.change {
				t.Errorf("change %+v, want %+v", change, c.change)
			}
			if err := create("poor"); !errors.Is(err, c.create) {
				t.Errorf("a new token: %v, want %v", err, c.create)
			}
			if n := f.farmer(t, token, start).Contracts; n != 1 {
				t.Errorf("%d contracts, want 1", n)
			}
		}
	})
}

// LoadWhitelist must also delete tokens that are created during its run, and it
// must not make CreateToken fail.
func TestLoadWhitelistWhileTokensAreCreated(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		many := make([]string, 450)
		for i := range many {
			many[i] = fmt.Sprintf("address %d", i)
		}
		_, err := f.LoadWhitelist(t.Context(), whitelist(many...), start)
		must(t, err)
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := range 20 {
					err := f.CreateToken(t.Context(), NewToken{
						Hash: node.NewToken().Hash(), Address: many[w*100+i], IP: "192.0.2.1", KeyID: f.key,
					}, TokenLimits{Whitelist: true}, start)
					if err != nil && !errors.Is(err, ErrNotWhitelisted) {
						t.Error(err)
					}
				}
			})
		}
		_, err = f.LoadWhitelist(t.Context(), whitelist(many[:200]...), start)
		must(t, err)
		wg.Wait()
		if n := f.count(t, "tokens t JOIN addresses a ON a.id = t.address_id", "a.whitelisted = 0"); n != 0 {
			t.Errorf("%d tokens of addresses that are not whitelisted", n)
		}
		if n := f.count(t, "addresses", "1 = 1"); n != 200 {
			t.Errorf("%d addresses, want 200", n)
		}
	})
}
