package redisdb

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/go-redis/redis_rate/v10"

	"github.com/driveshare/downstream-node/internal/node"
)

// Tokens caches tokens for the API replicas, which choose the encoding of a value.
// A value may be older than its row in MySQL by at most its lifetime.
type Tokens struct{ db *DB }

// Tokens returns the node's cached tokens.
func (db *DB) Tokens() Tokens { return Tokens{db} }

func (t Tokens) key(token node.TokenHash) string {
	return string(hex.AppendEncode(t.db.appendCacheKey(nil, "token:"), token[:]))
}

// Get returns the cached value, or nil if there is none.
func (t Tokens) Get(ctx context.Context, token node.TokenHash) ([]byte, error) {
	ctx, cancel := t.db.Bound(ctx)
	defer cancel()
	value, err := t.db.Client.Get(ctx, t.key(token)).Bytes()
	return value, Wrap("get token", IgnoreNil(err))
}

// Put caches value for ttl, which must be positive.
func (t Tokens) Put(ctx context.Context, token node.TokenHash, value []byte, ttl time.Duration) error {
	ctx, cancel := t.db.Bound(ctx)
	defer cancel()
	return Wrap("put token", t.db.Client.Set(ctx, t.key(token), value, max(ttl, time.Millisecond)).Err())
}

// Forget deletes cached tokens.
func (t Tokens) Forget(ctx context.Context, tokens ...node.TokenHash) error {
	if len(tokens) == 0 {
		return nil
	}
	keys := make([]string, len(tokens))
	for i, token := range tokens {
		keys[i] = t.key(token)
	}
	return t.db.do(ctx, "forget tokens", func(ctx context.Context) error { return t.db.Client.Unlink(ctx, keys...).Err() })
}

// Allow takes one request from the bucket called name. perSecond requests per
// second are added to the bucket, up to burst requests. If the bucket is empty, ok
// is false and retryAfter is the time until the next request is allowed. A
// perSecond or burst of 0 means no limit. On an error the caller decides whether to
// allow the request.
//
// The name must not contain a secret: use a token's farmer id, not the token.
func (db *DB) Allow(ctx context.Context, name string, perSecond float64, burst int) (retryAfter time.Duration, ok bool, err error) {
	if perSecond <= 0 || burst <= 0 {
		return 0, true, nil
	}
	ctx, cancel := db.Bound(ctx)
	defer cancel()
	// The library's rates are whole numbers per period. So the limit is always one
	// request, and the period is 1/perSecond.
	limit := redis_rate.Limit{Rate: 1, Burst: burst, Period: time.Duration(float64(time.Second) / perSecond)}
	result, err := db.limiter.Allow(ctx, db.Key(name), limit)
	if err != nil {
		return 0, false, Wrap("rate limit", err)
	}
	if result.Allowed > 0 {
		return 0, true, nil
	}
	return result.RetryAfter, false, nil
}
