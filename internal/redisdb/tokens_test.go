package redisdb

import (
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/redisdb/redistest"
	"github.com/driveshare/downstream-node/internal/testenv"
)

func TestTokens(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		db := open(t, s)
		tokens, a, b := db.Tokens(), node.TokenHash{1}, node.TokenHash{2}
		must(t, tokens.Put(t.Context(), a, []byte("row"), time.Minute))
		if got, err := tokens.Get(t.Context(), a); err != nil || string(got) != "row" {
			t.Errorf("%q %v", got, err)
		}
		if got, err := tokens.Get(t.Context(), b); err != nil || got != nil {
			t.Errorf("unknown token: %q %v", got, err)
		}
		if ttl := db.Client.TTL(t.Context(), tokens.key(a)).Val(); ttl <= 0 || ttl > time.Minute {
			t.Errorf("lifetime %v", ttl)
		}
		must(t, tokens.Forget(t.Context(), a, b))
		must(t, tokens.Forget(t.Context()))
		if got, err := tokens.Get(t.Context(), a); err != nil || got != nil {
			t.Errorf("after Forget: %q %v", got, err)
		}
	})
}

func TestAllow(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		db := open(t, s)
		const perSecond, burst = 0.01, 5
		for i := range burst + 2 {
			retryAfter, ok, err := db.Allow(t.Context(), "ip:192.0.2.1", perSecond, burst)
			must(t, err)
			if ok != (i < burst) {
				t.Errorf("request %d: %v", i, ok)
			}
			if !ok && (retryAfter < 90*time.Second || retryAfter > 100*time.Second) {
				t.Errorf("request %d: retry after %v", i, retryAfter)
			}
		}
		if _, ok, err := db.Allow(t.Context(), "ip:192.0.2.2", perSecond, burst); !ok || err != nil {
			t.Errorf("another address: %v %v", ok, err)
		}
		for range 50 {
			if _, ok, err := db.Allow(t.Context(), "ip:192.0.2.3", 0, 0); !ok || err != nil {
				t.Errorf("without a limit: %v %v", ok, err)
			}
		}
		if _, ok, err := db.Allow(t.Context(), "fast", 1000, 1); !ok || err != nil {
			t.Errorf("%v %v", ok, err)
		}
		testenv.WaitFor(t, "a fast bucket refills", func() bool {
			_, ok, err := db.Allow(t.Context(), "fast", 1000, 1)
			must(t, err)
			return ok
		})
	})
}
