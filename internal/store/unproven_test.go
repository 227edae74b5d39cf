package store

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/driveshare/downstream-node/internal/node"
)

// unproven returns limits that allow each token that many contracts without a proof.
func unproven(contracts, bytes int64) HandOutLimits {
	return HandOutLimits{Contracts: 1000, IPv6Prefix: 64, Unproven: node.UnprovenLimits{Contracts: contracts, Bytes: bytes}}
}

// take hands out as much as the limits allow, and returns the contracts.
func (f *fixture) take(t testing.TB, token Token, limits HandOutLimits) []held {
	t.Helper()
	out, err := f.HandOut(t.Context(), token, math.MaxInt64, limits, interval, start)
	must(t, err)
	return f.held(t, token, out)
}

func (f *fixture) prove(t testing.TB, token Token, contracts []held) {
	t.Helper()
	var verdicts []Verdict
	for _, h := range contracts {
		verdicts = append(verdicts, answer(token, h, true, start))
	}
	f.commit(t, verdicts...)
}

// An honest farmer proves what it has before it asks again, and so doubles with each
// round. A farmer that proves nothing gets no more.
func TestUnprovenContractsPerToken(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		f.stock(t, slices.Repeat([]int64{3}, 150)...)
		honest, taker := f.token(t, "honest"), f.token(t, "taker")
		total := 0
		for _, want := range []int{5, 5, 10, 20, 40} {
			got := f.take(t, honest, unproven(5, 0))
			if len(got) != want {
				t.Fatalf("%d contracts for a farmer that has proved %d, want %d", len(got), total, want)
			}
			if again := f.take(t, honest, unproven(5, 0)); len(again) > 0 {
				t.Fatalf("%d contracts for a farmer that has not proved its last ones", len(again))
			}
			total += len(got)
			f.prove(t, honest, got)
		}
		for _, want := range []int{5, 0, 0} {
			if got := f.take(t, taker, unproven(5, 0)); len(got) != want {
				t.Errorf("%d contracts for a farmer without proofs, want %d", len(got), want)
			}
		}
		f.checkInvariant(t)
	})
}

func TestUnprovenLimits(t *testing.T) {
	type ask struct {
		address, ip string
		want        []int64
	}
	for name, c := range map[string]struct {
		stock  []int64
		limits HandOutLimits
		asks   []ask
	}{
		"bytes of a token": {
			slices.Repeat([]int64{8, 2}, 10), unproven(0, 19),
			[]ask{{"a", "192.0.2.1", []int64{8, 8, 2}}, {"a", "192.0.2.1", []int64{8, 8, 2}}},
		},
		"contracts of an address": {
			slices.Repeat([]int64{1}, 30), unproven(2, 0),
			[]ask{
				{"a", "192.0.2.1", []int64{1, 1}},
				{"a", "192.0.2.2", []int64{1, 1}},
				{"a", "192.0.2.3", []int64{1, 1}},
				{"a", "192.0.2.4", []int64{1, 1}},
				{"a", "192.0.2.5", nil},
				{"b", "192.0.2.6", []int64{1, 1}},
			},
		},
		"contracts of an IPv6 network": {
			slices.Repeat([]int64{1}, 30), unproven(2, 0),
			[]ask{
				{"a", "2001:db8::1", []int64{1, 1}},
				{"b", "2001:db8::1:1", []int64{1, 1}},
				{"c", "2001:db8::ffff:0:0:0", []int64{1, 1}},
				{"d", "2001:db8::", []int64{1, 1}},
				{"e", "2001:db8::9", nil},
				{"f", "2001:db8:0:1::1", []int64{1, 1}},
			},
		},
		"bytes of an IPv4 address": {
			slices.Repeat([]int64{4}, 30), unproven(0, 8),
			[]ask{
				{"a", "192.0.2.1", []int64{4, 4}},
				{"b", "192.0.2.1", []int64{4, 4}},
				{"c", "192.0.2.1", []int64{4, 4}},
				{"d", "192.0.2.1", []int64{4, 4}},
				{"e", "192.0.2.1", nil},
				{"f", "192.0.2.2", []int64{4, 4}},
			},
		},
		"the share of the inventory": {
			slices.Repeat([]int64{4}, 9),
			HandOutLimits{Contracts: 100, Share: 3},
			[]ask{{"a", "192.0.2.1", []int64{4, 4, 4}}, {"a", "192.0.2.1", []int64{4, 4, 4}}},
		},
		"chunks larger than the limit, one at a time": {
			[]int64{50, 50, 50},
			unproven(0, 10),
			[]ask{{"a", "192.0.2.1", []int64{50}}, {"a", "192.0.2.2", nil}, {"b", "192.0.2.1", nil}, {"b", "192.0.2.2", []int64{50}}},
		},
		"no limits": {
			slices.Repeat([]int64{4}, 9), unproven(0, 0),
			[]ask{{"a", "192.0.2.1", slices.Repeat([]int64{4}, 9)}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, f *fixture) {
				f.stock(t, c.stock...)
				for i, ask := range c.asks {
					token := f.token(t, ask.address)
					f.move(t, &token, ask.ip, nil)
					var got []int64
					for _, h := range f.take(t, token, c.limits) {
						got = append(got, h.Size)
					}
					if !slices.Equal(got, ask.want) {
						t.Errorf("token %d of %s at %s gets %v, want %v", i+1, ask.address, ask.ip, got, ask.want)
					}
				}
			})
		})
	}
}

// Two replicas hand out to tokens of different SJCX addresses in one network. The
// limit of the network holds.
func TestConcurrentHandOutsInANetwork(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		const farmers, limit = 12, 3
		f.stock(t, slices.Repeat([]int64{1}, 200)...)
		stores := []*Store{f.Store, openStore(t, f.cfg)}
		var wg sync.WaitGroup
		for i := range farmers {
			token := f.token(t, fmt.Sprintf("address %d", i)) // all in 2001:db8::/64
			wg.Go(func() {
				for range 5 {
					if _, err := stores[i%2].HandOut(t.Context(), token, 10, unproven(limit, 0), interval, start); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if n := f.count(t, "contracts", "1 = 1"); n != limit*node.UnprovenFactor {
			t.Errorf("the network holds %d contracts, want %d", n, limit*node.UnprovenFactor)
		}
		f.checkInvariant(t)
	})
}

// Contracts stop to count as unproven when they are proved, expire or are deleted.
func TestUnprovenEnds(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		f.stock(t, slices.Repeat([]int64{1}, 40)...)
		token, other := f.token(t, "address"), f.token(t, "address")
		limits := unproven(4, 0)
		first := f.take(t, token, limits)
		f.commit(t, answer(token, first[0], false, start))
		if got := f.take(t, token, limits); len(got) > 0 {
			t.Errorf("%d contracts after a wrong proof", len(got))
		}
		_, err := f.Expire(t.Context(), start.Add(interval), 100)
		must(t, err)
		if got := f.take(t, token, limits); len(got) != 4 {
			t.Errorf("%d contracts after the others expired, want 4", len(got))
		}
		// The proof arrived in time, so its contract is live again, and proved.
		f.commit(t, answer(token, first[1], true, start))
		if n := f.count(t, "contracts", "unproven = 1 AND live = 1"); n != 4 {
			t.Errorf("%d contracts count as unproven, want 4", n)
		}
		must(t, f.DeleteToken(t.Context(), token.FarmerID, start))
		f.take(t, other, limits)
		if n := f.count(t, "contracts", "unproven = 1"); n != 4 {
			t.Errorf("%d contracts count as unproven, want those of the other token", n)
		}
	})
}

// A renewed contract has a sequence above 0, and counts as unproven until a proof for its new
// copy was accepted. A wrong proof must not end this, because the farmer still needs the tag. It must not
// make a proved contract unproven either.
func TestWrongProofsProveNothing(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		for _, optimistic := range []bool{false, true} {
			token := f.token(t, "address")
			contracts := f.contracts(t, token, start, 1, 1, 1)
			f.prove(t, token, contracts)
			due := start.Add(interval)
			must(t, f.write.Exec("UPDATE contracts SET unproven = 1 WHERE token_id = ?", token.ID).Error) // as if an older worker had committed
			_, err := f.Advance(t.Context(), token.ID, idsOf(contracts, func(h held) int64 { return h.ContractID }), due, issue)
			must(t, err)
			unproven := func(want ...int) {
				t.Helper()
				for i, h := range contracts {
					if n := f.count(t, "contracts", "id = ? AND unproven = 1", h.ContractID); n != int64(want[i]) {
						t.Errorf("contract %d: unproven is %d, want %d", i, n, want[i])
					}
				}
			}
			unproven(0, 0, 0)
			must(t, f.write.Exec("UPDATE contracts SET unproven = 1 WHERE id <> ? AND token_id = ?", contracts[0].ContractID, token.ID).Error) // as a renewal does
			judge := func(valid ...bool) {
				t.Helper()
				var verdicts []Verdict
				for i, h := range contracts {
					v := answer(token, h, valid[i], due)
					v.Sequence = 1
					if optimistic {
						c, err := f.Contract(t.Context(), token.ID, h.FileHash)
						must(t, err)
						v.Copy = &c
					}
					verdicts = append(verdicts, v)
				}
				f.commit(t, verdicts...)
			}
			judge(false, false, true)
			unproven(0, 1, 0)
			_, err = f.CleanContracts(t.Context(), interval, start)
			must(t, err)
			for i, want := range []int64{0, 1, 0} {
				if n := f.count(t, "tags", "part = 0 AND file_id = ?", contracts[i].FileID); n != want {
					t.Errorf("%d tags of contract %d, want %d", n, i, want)
				}
			}
			judge(true, true, true)
			unproven(0, 0, 0)
		}
	})
}

// During a rolling upgrade, older replicas do not write the column unproven. Their
// hand-outs count as proved. If an older worker commits a first proof, the contract
// counts as unproven until its next proof.
func TestUnprovenBesideOlderReplicas(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		f.stock(t, slices.Repeat([]int64{1}, 20)...)
		token := f.token(t, "address")
		limits := unproven(4, 0)
		contracts := f.take(t, token, limits)
		must(t, f.write.Exec("UPDATE contracts SET unproven = 0").Error)
		if got := f.take(t, token, limits); len(got) != 4 {
			t.Errorf("%d contracts beside those of an older replica, want 4", len(got))
		}
		f.prove(t, token, contracts)
		must(t, f.write.Exec("UPDATE contracts SET unproven = 1").Error) // as if an older worker had committed
		if got := f.take(t, token, limits); len(got) > 0 {
			t.Errorf("%d contracts", len(got))
		}
		due := start.Add(interval)
		copies, err := f.Advance(t.Context(), token.ID, idsOf(contracts, func(h held) int64 { return h.ContractID }), due, issue)
		must(t, err)
		must(t, f.write.Exec("UPDATE contracts SET unproven = 1").Error) // as if an older API replica had issued the challenges
		for i, h := range contracts {
			v := answer(token, h, true, due)
			v.Sequence = 1
			if i%2 == 0 {
				v.Copy = &copies[i]
			}
			f.commit(t, v)
		}
		if n := f.count(t, "contracts", "unproven = 1"); n != 4 {
			t.Errorf("%d contracts count as unproven after the next proofs, want the 4 without a proof", n)
		}
	})
}

// A request for more bytes than an int64 can add is clamped.
func TestHandOutOfTheLargestRequest(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		f.stock(t, 10, 10, 10)
		token := f.token(t, "address")
		limits := HandOutLimits{Contracts: 10, BytesPerAddress: 20}
		for _, want := range []int{2, 0} {
			if got := f.take(t, token, limits); len(got) != want {
				t.Errorf("%d contracts, want %d", len(got), want)
			}
		}
	})
}
