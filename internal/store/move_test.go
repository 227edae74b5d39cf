package store

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/driveshare/downstream-node/internal/node"
)

// moveLimits are small limits for each network: 3 tokens, and 8 contracts without a
// proof.
func moveLimits() HandOutLimits {
	limits := unproven(2, 0)
	limits.TokensPerIP = 3
	return limits
}

// register creates a token at an IP address if the limit allows it.
func (f *fixture) register(t testing.TB, ip string, limits HandOutLimits) (token Token, ok bool) {
	t.Helper()
	hash := node.NewToken().Hash()
	address := fmt.Sprint("address ", f.made.Add(1))
	err := f.CreateToken(t.Context(), NewToken{Hash: hash, Address: address, IP: ip, KeyID: f.key},
		TokenLimits{TokensPerIP: limits.TokensPerIP, IPv6Prefix: limits.IPv6Prefix}, start)
	if errors.Is(err, ErrTooManyTokens) {
		return token, false
	}
	must(t, err)
	token, err = f.Token(t.Context(), hash)
	must(t, err)
	return token, true
}

// checkNetwork fails the test if the network of ip does not hold that many tokens and
// contracts without a proof.
func (f *fixture) checkNetwork(t testing.TB, ip string, tokens, contracts int64) {
	t.Helper()
	if n := f.count(t, "tokens", "ip = ?", ip); n != tokens {
		t.Errorf("%d tokens at %s, want %d", n, ip, tokens)
	}
	if n := f.count(t, "contracts c JOIN tokens t ON t.id = c.token_id", "t.ip = ? AND c.unproven = 1 AND c.live = 1", ip); n != contracts {
		t.Errorf("%d contracts without a proof at %s, want %d", n, ip, contracts)
	}
}

// An attacker registers tokens at one address, takes what it can, and uses the tokens
// from another address, again and again. It gets what two addresses may have.
func TestMovedTokensFreeNoQuota(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		const a, b = "192.0.2.1", "192.0.2.2"
		f.stock(t, slices.Repeat([]int64{1}, 100)...)
		limits := moveLimits()
		for range 4 {
			for range 2 * limits.TokensPerIP {
				token, ok := f.register(t, a, limits)
				if !ok {
					break
				}
				f.take(t, token, limits)
				_, err := f.MoveToken(t.Context(), token.ID, b, nil, limits)
				must(t, err)
			}
		}
		f.checkNetwork(t, a, 3, 6)
		f.checkNetwork(t, b, 3, 6)
		if n := f.count(t, "contracts", "1 = 1"); n != 12 {
			t.Errorf("%d contracts, want 12", n)
		}
		f.checkInvariant(t)
	})
}

// A network takes a token only with all its contracts without a proof.
func TestMoveCountsUnprovenContracts(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		const a, b = "192.0.2.1", "192.0.2.2"
		f.stock(t, slices.Repeat([]int64{1}, 100)...)
		limits := moveLimits()
		limits.TokensPerIP = 100
		for range 4 {
			token, _ := f.register(t, b, limits)
			f.take(t, token, limits)
		}
		token, _ := f.register(t, a, limits)
		unused, _ := f.register(t, a, limits)
		contracts := f.take(t, token, limits)
		move := func(token Token, want bool) {
			t.Helper()
			moved, err := f.MoveToken(t.Context(), token.ID, b, &node.Location{City: "Reykjavík"}, limits)
			must(t, err)
			if moved != want {
				t.Errorf("moved %t, want %t", moved, want)
			}
		}
		move(token, false)
		f.checkNetwork(t, b, 4, 8)
		move(unused, true) // it brings no contracts
		token.IP = b
		if got := f.take(t, token, limits); len(got) > 0 {
			t.Errorf("%d contracts from the full network", len(got))
		}
		f.checkNetwork(t, a, 1, 2)
		f.prove(t, token, contracts)
		move(token, true)
		move(token, true) // again
		f.checkNetwork(t, a, 0, 0)
		f.checkNetwork(t, b, 6, 8)
	})
}

// Tokens of several networks are used at a common one, and stay recorded at their own.
// Only the limit's number of them gets contracts there, also if all ask at once.
func TestHandOutCountsWhereTheRequestComesFrom(t *testing.T) {
	for name, limits := range map[string]HandOutLimits{
		"tokens":               {Contracts: 1, TokensPerIP: 3, IPv6Prefix: 64},
		"tokens and contracts": moveLimits(),
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, f *fixture) {
				const here = "198.51.100.1"
				f.stock(t, slices.Repeat([]int64{1}, 100)...)
				stores := []*Store{f.Store, openStore(t, f.cfg)}
				var running sync.WaitGroup
				for i := range 12 {
					token, _ := f.register(t, fmt.Sprintf("192.0.2.%d", i), limits)
					token.IP, token.Location = here, &node.Location{City: "Reykjavík"}
					running.Go(func() {
						_, err := stores[i%2].HandOut(t.Context(), token, 1, limits, interval, start)
						if err != nil && !errors.Is(err, ErrTooManyTokens) {
							t.Error(err)
						}
					})
				}
				running.Wait()
				f.checkNetwork(t, here, 3, 3)
				if n := f.count(t, "tokens", "ip = ? AND city = 'Reykjavík' AND contracts = 1", here); n != 3 {
					t.Errorf("%d tokens with a contract and the location, want 3", n)
				}
				if n := f.count(t, "contracts", "1 = 1"); n != 3 {
					t.Errorf("%d contracts, want 3", n)
				}
				f.checkInvariant(t)
			})
		})
	}
}

// A hand-out at another network counts the token's own contracts there.
func TestHandOutThatMovesCountsOwnContracts(t *testing.T) {
	for name, c := range map[string]struct {
		there     int // contracts without a proof at the other network, which may hold 8
		moves     bool
		contracts int64 // at the other network in the end
	}{
		"room for one more": {6, true, 8},
		"room for its own":  {7, false, 7},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, f *fixture) {
				const a, b = "192.0.2.1", "192.0.2.2"
				f.stock(t, slices.Repeat([]int64{1}, 100)...)
				limits := moveLimits()
				limits.TokensPerIP = 100
				one := limits
				one.Contracts = 1
				var other Token
				for i := range c.there {
					if i%2 == 0 {
						other, _ = f.register(t, b, limits)
					}
					f.take(t, other, one)
				}
				token, _ := f.register(t, a, limits)
				f.take(t, token, one)
				token.IP = b
				f.take(t, token, limits)
				if c.moves {
					f.checkNetwork(t, a, 0, 0)
				} else {
					f.checkNetwork(t, a, 1, 1)
				}
				f.checkNetwork(t, b, f.count(t, "tokens", "1 = 1")-f.count(t, "tokens", "ip = ?", a), c.contracts)
			})
		})
	}
}
