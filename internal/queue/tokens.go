package queue

import (
	"context"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// Tokens is what the API replicas remember of tokens, in a form of their own,
// by the token's hash. It may be behind MySQL for as long as the ttl it was
// put with.
type Tokens struct{ q *Queue }

// Tokens are the node's remembered tokens.
func (q *Queue) Tokens() Tokens { return Tokens{q} }

// Get gives what was put, or nil.
func (t Tokens) Get(ctx context.Context, token node.TokenHash) ([]byte, error) {
	ctx, cancel := t.q.bounded(ctx)
	defer cancel()
	value, err := t.q.client.Get(ctx, t.q.tokenKey(token)).Bytes()
	return value, wrap("get token", ignoreNil(err))
}

// Put remembers value for ttl, which is more than 0.
func (t Tokens) Put(ctx context.Context, token node.TokenHash, value []byte, ttl time.Duration) error {
	ctx, cancel := t.q.bounded(ctx)
	defer cancel()
	return wrap("put token", t.q.client.Set(ctx, t.q.tokenKey(token), value, max(ttl, time.Millisecond)).Err())
}

// Forget removes what is remembered of the tokens.
func (t Tokens) Forget(ctx context.Context, tokens ...node.TokenHash) error {
	if len(tokens) == 0 {
		return nil
	}
	keys := make([]string, len(tokens))
	for i, token := range tokens {
		keys[i] = t.q.tokenKey(token)
	}
	return wrap("forget tokens", t.q.unlink(ctx, keys))
}
