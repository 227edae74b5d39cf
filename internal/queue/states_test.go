package queue

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// aContract is the token's contract for a file, as some change has left it.
func aContract(version int64) node.Contract {
	return node.Contract{
		ID: 11, TokenID: 7, KeyID: 3, FileHash: node.FileHash{9}, Size: 1 << 40,
		Interval: 5 * time.Minute, Version: version, Sequence: 4,
		Challenge: []byte("challenge"), State: []byte("state"),
		Due:      time.Now().UTC().Truncate(time.Microsecond).Add(time.Minute),
		Answered: true, Accepted: node.Digest{1}, Wrong: []node.Digest{{2}, {3}},
	}
}

func state(t testing.TB, q *Queue, c node.Contract) *node.Contract {
	t.Helper()
	got, err := q.States().Get(t.Context(), c.TokenID, []node.FileHash{c.FileHash})
	must(t, err)
	return got[0]
}

func TestStates(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		q := s.open(t)
		const n = stateBatch + 10
		var contracts []node.Contract
		files := []node.FileHash{{0xff}} // of no contract
		for i := range n {
			c := aContract(int64(i))
			c.FileHash = node.FileHash{byte(i), byte(i >> 8), 1}
			contracts = append(contracts, c)
			files = append(files, c.FileHash)
		}
		must(t, q.States().Put(t.Context(), contracts))
		got, err := q.States().Get(t.Context(), 7, files)
		must(t, err)
		if len(got) != n+1 || got[0] != nil {
			t.Fatalf("%d states, the first %v", len(got), got[0])
		}
		for i := range contracts {
			if !reflect.DeepEqual(*got[i+1], contracts[i]) {
				t.Fatalf("got %+v, put %+v", got[i+1], contracts[i])
			}
		}
		must(t, q.States().Forget(t.Context(), node.ContractName{TokenID: 7, FileHash: files[1]}, node.ContractName{TokenID: 7, FileHash: files[n]}))
		got, err = q.States().Get(t.Context(), 7, files)
		must(t, err)
		if got[1] != nil || got[2] == nil || got[n] != nil {
			t.Error("others were forgotten than those asked for")
		}
		must(t, q.States().Forget(t.Context()))
		must(t, q.States().Put(t.Context(), nil))
	})
}

func TestStatesGuard(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		q := s.open(t)
		newer, older, same := aContract(256), aContract(255), aContract(256)
		same.State = []byte("the same change, seen again")
		for _, step := range []struct{ put, held node.Contract }{
			{newer, newer}, {older, newer}, {same, same}, {aContract(1 << 40), aContract(1 << 40)}, {same, aContract(1 << 40)},
		} {
			must(t, q.States().Put(t.Context(), []node.Contract{step.put}))
			if got := state(t, q, step.put); got.Version != step.held.Version || !bytes.Equal(got.State, step.held.State) {
				t.Errorf("put %d, holds %d", step.put.Version, got.Version)
			}
		}
		// What cannot be read is a miss, and no version to be held up by.
		key := q.stateKey(newer.TokenID, newer.FileHash)
		for _, rubbish := range []string{"", "x", "\x02aaaaaaaaaaaaaaaaaa"[:1]} {
			must(t, q.client.Set(t.Context(), key, rubbish, 0).Err())
			if got := state(t, q, newer); got != nil {
				t.Errorf("%q was read as %+v", rubbish, got)
			}
			must(t, q.States().Put(t.Context(), []node.Contract{older}))
			if got := state(t, q, older); got == nil {
				t.Errorf("%q stayed", rubbish)
			}
		}
	})
}

func TestStatesGuardUnderConcurrency(t *testing.T) {
	onEachOwn(t, func(t *testing.T, s *server) {
		q := s.open(t)
		const writers, versions = 8, 100
		var all sync.WaitGroup
		for range writers {
			all.Go(func() {
				for _, v := range rand.Perm(versions) {
					if err := q.States().Put(t.Context(), []node.Contract{aContract(int64(v))}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Go(func() { // the scripts go, the guard does not
			for range 20 {
				if err := q.client.ScriptFlush(t.Context()).Err(); err != nil {
					t.Error(err)
				}
			}
		})
		all.Go(func() {
			var last int64
			for range 200 {
				got, err := q.States().Get(t.Context(), 7, []node.FileHash{{9}})
				if err != nil {
					t.Error(err)
				} else if got[0] != nil && got[0].Version < last {
					t.Errorf("version %d after %d", got[0].Version, last)
				} else if got[0] != nil {
					last = got[0].Version
				}
			}
		})
		all.Wait()
		if got := state(t, q, aContract(0)); got.Version != versions-1 {
			t.Errorf("holds version %d, not %d", got.Version, versions-1)
		}
	})
}

func TestStatesLiveAboutAsLongAsTheContract(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		now := time.Now()
		q := s.open(t, func(o *Options) { o.Now = func() time.Time { return now } })
		for name, c := range map[string]struct {
			expiry, ttl time.Duration
		}{
			"living":     {time.Hour, time.Hour + stateLinger},
			"over":       {-time.Hour, stateLinger},
			"for months": {1e6 * time.Hour, stateMaxTTL},
		} {
			contract := aContract(0)
			contract.FileHash = node.FileHash([]byte(name + string(make([]byte, 32)))[:32])
			contract.Answered, contract.Due = false, now.Add(c.expiry)
			must(t, q.States().Put(t.Context(), []node.Contract{contract}))
			ttl, err := q.client.PTTL(t.Context(), q.stateKey(7, contract.FileHash)).Result()
			must(t, err)
			if ttl > c.ttl || ttl < c.ttl-time.Minute {
				t.Errorf("%s: lives for %v, not %v", name, ttl, c.ttl)
			}
		}
	})
}

func TestTokens(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		q := s.open(t)
		tokens, a, b := q.Tokens(), node.TokenHash{1}, node.TokenHash{2}
		must(t, tokens.Put(t.Context(), a, []byte("row"), time.Minute))
		if got, err := tokens.Get(t.Context(), a); err != nil || string(got) != "row" {
			t.Errorf("%q %v", got, err)
		}
		if got, err := tokens.Get(t.Context(), b); err != nil || got != nil {
			t.Errorf("of nobody: %q %v", got, err)
		}
		if ttl := q.client.TTL(t.Context(), q.tokenKey(a)).Val(); ttl <= 0 || ttl > time.Minute {
			t.Errorf("lives for %v", ttl)
		}
		must(t, tokens.Forget(t.Context(), a, b))
		must(t, tokens.Forget(t.Context()))
		if got, err := tokens.Get(t.Context(), a); err != nil || got != nil {
			t.Errorf("forgotten: %q %v", got, err)
		}
	})
}

func TestAllow(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		q := s.open(t)
		const perSecond, burst = 0.01, 5
		for i := range burst + 2 {
			retryAfter, ok, err := q.Allow(t.Context(), "ip:192.0.2.1", perSecond, burst)
			must(t, err)
			if ok != (i < burst) {
				t.Errorf("request %d: %v", i, ok)
			}
			if !ok && (retryAfter < 90*time.Second || retryAfter > 100*time.Second) {
				t.Errorf("request %d: again in %v", i, retryAfter)
			}
		}
		if _, ok, err := q.Allow(t.Context(), "ip:192.0.2.2", perSecond, burst); !ok || err != nil {
			t.Errorf("another address: %v %v", ok, err)
		}
		for range 50 {
			if _, ok, err := q.Allow(t.Context(), "ip:192.0.2.3", 0, 0); !ok || err != nil {
				t.Errorf("without a limit: %v %v", ok, err)
			}
		}
		if _, ok, err := q.Allow(t.Context(), "fast", 1000, 1); !ok || err != nil {
			t.Errorf("%v %v", ok, err)
		}
		eventually(t, "a fast bucket fills again", func() bool {
			_, ok, err := q.Allow(t.Context(), "fast", 1000, 1)
			must(t, err)
			return ok
		})
	})
}
