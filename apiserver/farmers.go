package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/gorilla/mux"

	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

// farmer is who asks: a token, the store's record of it, and the key that it
// farms with.
type farmer struct {
	token  node.Token
	record store.Token
	key    keyring.Key
}

// How long a token is remembered by all replicas together, and by one of them
// for itself: that long it may go on being known after it was deleted, and the
// second is how long a replica may not notice that its farmer has been at
// another address. The store refuses what a deleted token asks for all the same.
const (
	tokenCacheTime = time.Minute
	tokenOwnTime   = 5 * time.Second
)

// tokenCacheMax bounds what a replica remembers for itself.
const tokenCacheMax = 50_000

// tokenCache is what a replica remembers of tokens for itself: a farmer that
// has much to say asks for its token with every proof.
type tokenCache struct {
	mu      sync.RWMutex
	records map[node.TokenHash]rememberedToken
}

type rememberedToken struct {
	record store.Token
	until  time.Time
}

func (c *tokenCache) get(hash node.TokenHash, now time.Time) (store.Token, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	t := c.records[hash]
	return t.record, now.Before(t.until)
}

func (c *tokenCache) put(hash node.TokenHash, record store.Token, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.records == nil || len(c.records) >= tokenCacheMax {
		c.records = make(map[node.TokenHash]rememberedToken)
	}
	c.records[hash] = rememberedToken{record, now.Add(tokenOwnTime)}
}

// farmer finds who asks by the token in the path, holds it to its share of
// requests, and counts it at the IP address that it now comes from.
func (s *Server) farmer(r *http.Request) (farmer, error) {
	ctx := r.Context()
	token, err := node.ParseToken(mux.Vars(r)["token"])
	if err != nil {
		return farmer{}, errUnknownToken
	}
	hash := token.Hash()
	record, err := s.token(ctx, hash)
	if err != nil {
		return farmer{}, err
	}
	if err := s.limit(ctx, "token:"+hash.FarmerID(), s.opt.PerToken); err != nil {
		return farmer{}, err
	}
	if err := s.follow(ctx, hash, &record, requestOf(ctx).ip); err != nil {
		return farmer{}, err
	}
	key, err := s.keys.Key(record.KeyID)
	if err != nil {
		return farmer{}, err
	}
	return farmer{token: token, record: record, key: key}, nil
}

// token reads a token's record, from memory or Redis where it is there.
func (s *Server) token(ctx context.Context, hash node.TokenHash) (store.Token, error) {
	record, ok := s.tokens.get(hash, s.now())
	if ok {
		return record, nil
	}
	if raw, err := s.redis.Tokens().Get(ctx, hash); err == nil && raw != nil && json.Unmarshal(raw, &record) == nil {
		s.tokens.put(hash, record, s.now())
		return record, nil
	}
	record, err := s.store.Token(ctx, hash)
	if errors.Is(err, store.ErrNotFound) {
		return store.Token{}, errUnknownToken
	}
	if err != nil {
		return store.Token{}, err
	}
	s.cacheToken(ctx, hash, record)
	return record, nil
}

// cacheToken is allowed to fail: the next request reads the store again.
func (s *Server) cacheToken(ctx context.Context, hash node.TokenHash, record store.Token) {
	s.tokens.put(hash, record, s.now())
	if raw, err := json.Marshal(record); err == nil {
		_ = s.redis.Tokens().Put(ctx, hash, raw, tokenCacheTime)
	}
}

// follow records that a token came from another IP address than before.
func (s *Server) follow(ctx context.Context, hash node.TokenHash, record *store.Token, ip netip.Addr) error {
	if record.IP == ip.String() {
		return nil
	}
	if err := s.store.MoveToken(ctx, record.ID, ip.String(), s.geo.Lookup(ip)); err != nil {
		return err
	}
	record.IP = ip.String()
	s.cacheToken(ctx, hash, *record)
	return nil
}
