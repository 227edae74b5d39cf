package store

import (
	"errors"
	"fmt"
	"iter"
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

		must(t, f.MoveToken(ctx, got.ID, "192.0.2.2", nil))
		for ip, want := range map[string]int64{"192.0.2.1": 0, "192.0.2.2": 1} {
			if n := f.count(t, "tokens", "ip = ?", ip); n != want {
				t.Errorf("%d tokens at %s, want %d", n, ip, want)
			}
		}
		if farmer := f.farmer(t, got, start); farmer.IP != "192.0.2.2" || farmer.Location != nil {
			t.Errorf("moved farmer: %+v", farmer)
		}
		wantErr(t, f.MoveToken(ctx, got.ID+1, "192.0.2.2", nil), ErrNotFound)

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

func whitelist(addresses ...string) iter.Seq2[Allowed, error] {
	return func(yield func(Allowed, error) bool) {
		for _, a := range addresses {
			if !yield(Allowed{Address: a, Balance: 10000}, nil) {
				return
			}
		}
	}
}

func TestWhitelist(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		create := func(address string) error {
			return f.CreateToken(ctx, NewToken{Hash: node.NewToken().Hash(), Address: address, IP: "192.0.2.1", KeyID: f.key},
				TokenLimits{Whitelist: true}, start)
		}
		load := func(want WhitelistChange, addresses ...string) {
			t.Helper()
			got, err := f.LoadWhitelist(ctx, whitelist(addresses...), start)
			must(t, err)
			if got != want {
				t.Errorf("change %+v, want %+v", got, want)
			}
		}
		stranger, stays := f.token(t, "stranger"), f.token(t, "stays")
		f.contracts(t, stranger, start, 10)
		f.contracts(t, stays, start, 10)
		wantErr(t, create("stays"), ErrNotWhitelisted) // the SJCX address is in the table but not whitelisted

		load(WhitelistChange{Added: 2, Removed: 1, Tokens: 1}, "stays", "new", "new")
		must(t, create("stays"))
		must(t, create("new"))
		wantErr(t, create("stranger"), ErrNotWhitelisted)
		_, err := f.Token(ctx, stranger.Hash)
		wantErr(t, err, ErrNotFound)
		if n := f.farmer(t, stays, start).Contracts; n != 1 {
			t.Errorf("%d contracts of an address that is still whitelisted", n)
		}

		must(t, f.AllowAddress(ctx, Allowed{Address: "one more"}))
		must(t, f.AllowAddress(ctx, Allowed{Address: "one more", Balance: 7}))
		must(t, create("one more"))
		load(WhitelistChange{Added: 0, Kept: 1, Removed: 2, Tokens: 2}, "stays")
		f.checkInvariant(t)
	})
}

func TestFailedLoadWhitelistChangesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		token := f.token(t, "address")
		broken := errors.New("line 7 is broken")
		_, err := f.LoadWhitelist(t.Context(), func(yield func(Allowed, error) bool) {
			_ = yield(Allowed{Address: "other"}, nil) && yield(Allowed{}, broken)
		}, start)
		wantErr(t, err, broken)
		if _, err := f.Token(t.Context(), token.Hash); err != nil {
			t.Error(err)
		}
		if n := f.count(t, "addresses", "whitelisted = 1"); n != 0 {
			t.Errorf("%d addresses whitelisted", n)
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
