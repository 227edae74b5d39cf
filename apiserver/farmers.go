package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/gorilla/mux"
	"golang.org/x/sync/singleflight"

	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

// farmer is the sender of a request: its token, the token's record, and the key of
// the token's contracts.
type farmer struct {
	token  node.Token
	record store.Token
	key    keyring.Key
}

// Each request of a farmer needs the token's record. The record is cached in Redis and
// in each replica's memory. A record may stay in a cache after its token is deleted.
// This does no harm, because the store refuses to act for a deleted token. Only
// /heartbeat does not act in the store, so it always reads the record from there.
const (
	// sharedTokenLife is how long Redis keeps a record.
	sharedTokenLife = time.Minute
	// tokenLife is how long a replica keeps a record in memory. For that time, the
	// replica may not notice that another replica has recorded a new IP address.
	tokenLife = 5 * time.Second
	// moveInterval is how long a replica waits after it has tried to record a new IP
	// address of a token, before it tries to record the next one.
	moveInterval = time.Minute
	// maxTokens is the maximum number of records in a replica's memory.
	maxTokens = 50_000
)

// withFarmer makes a handler from a function that needs the farmer.
func (s *Server) withFarmer(h func(w http.ResponseWriter, r *http.Request, f farmer) error) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		f, err := s.farmer(r)
		if err != nil {
			return err
		}
		return h(w, r, f)
	}
}

// farmer returns the farmer whose token is in the path. It applies the token's rate
// limit, and records the farmer's IP address if its network has changed, see follow.
func (s *Server) farmer(r *http.Request) (farmer, error) { return s.farmerFrom(r, s.token) }

// farmerFrom is farmer, but the caller chooses how the token's record is read.
func (s *Server) farmerFrom(r *http.Request, read func(context.Context, node.TokenHash) (store.Token, error)) (farmer, error) {
	ctx := r.Context()
	token, err := node.ParseToken(mux.Vars(r)["token"])
	if err != nil {
		return farmer{}, errUnknownToken
	}
	hash := token.Hash()
	id := hash.FarmerID()
	exchangeOf(r).farmer = id
	record, err := read(ctx, hash)
	if err != nil {
		return farmer{}, err
	}
	if err := s.limit(ctx, "token:"+id, s.cfg.RateLimits.PerToken); err != nil {
		return farmer{}, err
	}
	record, err = s.follow(ctx, record, exchangeOf(r).ip)
	if err != nil {
		return farmer{}, err
	}
	if !s.Keys.Has(record.KeyID) { // the copy may be older than the replacement of its key
		if record, err = s.storedToken(ctx, hash); err != nil {
			return farmer{}, err
		}
	}
	key, err := s.Keys.Key(record.KeyID)
	if err != nil {
		return farmer{}, err
	}
	return farmer{token: token, record: record, key: key}, nil
}

// follow records the farmer's IP address if it is in another network than the recorded
// one and that network has room for the token. It tries this once per moveInterval and
// token, because a farmer whose requests alternate between two networks must not cause
// a write with each request. The limits do not depend on it: a hand-out counts where
// its request comes from.
func (s *Server) follow(ctx context.Context, record store.Token, ip netip.Addr) (store.Token, error) {
	recorded, _ := netip.ParseAddr(record.IP) // an invalid address differs from all others
	if clientOf(recorded, s.limits.IPv6Prefix) == clientOf(ip, s.limits.IPv6Prefix) {
		return record, nil
	}
	if _, recent := s.moves.get(record.ID, s.Now()); recent {
		return record, nil
	}
	moved, err := s.Store.MoveToken(ctx, record.ID, ip.String(), s.Geo.Lookup(ip), s.limitsOfNetwork())
	if err != nil {
		return record, err
	}
	s.moves.put(record.ID, struct{}{}, s.Now())
	if moved {
		record.IP = ip.String()
		s.cacheToken(ctx, record.Hash, record)
	}
	return record, nil
}

// token reads a token's record from memory, Redis or the store.
func (s *Server) token(ctx context.Context, hash node.TokenHash) (store.Token, error) {
	record, ok := s.tokens.get(hash, s.Now())
	if ok {
		return record, nil
	}
	if raw, err := s.Redis.Tokens().Get(ctx, hash); err == nil && raw != nil && json.Unmarshal(raw, &record) == nil {
		s.tokens.put(hash, record, s.Now())
		return record, nil
	}
	return s.storedToken(ctx, hash)
}

// storedToken reads a token's record from the store, and caches it.
func (s *Server) storedToken(ctx context.Context, hash node.TokenHash) (store.Token, error) {
	record, err := s.Store.Token(ctx, hash)
	if errors.Is(err, store.ErrNotFound) {
		return store.Token{}, errUnknownToken
	}
	if err != nil {
		return store.Token{}, err
	}
	s.cacheToken(ctx, hash, record)
	return record, nil
}

// cacheToken caches a record. If Redis fails, cacheToken only logs the error, and
// other replicas read the store.
func (s *Server) cacheToken(ctx context.Context, hash node.TokenHash, record store.Token) {
	s.tokens.put(hash, record, s.Now())
	raw, err := json.Marshal(record)
	if err == nil {
		err = s.Redis.Tokens().Put(ctx, hash, raw, sharedTokenLife)
	}
	if err != nil {
		s.Log.Debug("cannot cache a token's record", "error", err)
	}
}

// cache keeps each value for the duration life. A full cache drops all values before
// it adds the next one.
type cache[K comparable, V any] struct {
	life time.Duration
	max  int

	mu      sync.RWMutex
	values  map[K]cachedValue[V]
	reading singleflight.Group
}

type cachedValue[V any] struct {
	value V
	until time.Time
}

func (c *cache[K, V]) get(key K, now time.Time) (V, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	found := c.values[key]
	return found.value, now.Before(found.until)
}

// clear drops all values.
func (c *cache[K, V]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.values = nil
}

func (c *cache[K, V]) put(key K, value V, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.values == nil || len(c.values) >= c.max {
		c.values = make(map[K]cachedValue[V])
	}
	c.values[key] = cachedValue[V]{value, now.Add(c.life)}
}

// read returns the cached value. If there is none, it calls fetch and caches the result.
// Concurrent requests share one call, and the others need it even if the request that
// began it ends.
func (c *cache[K, V]) read(ctx context.Context, key K, now time.Time, fetch func(context.Context) (V, error)) (V, error) {
	if value, ok := c.get(key, now); ok {
		return value, nil
	}
	value, err, _ := c.reading.Do(fmt.Sprint(key), func() (any, error) {
		value, err := fetch(context.WithoutCancel(ctx))
		if err == nil {
			c.put(key, value, now)
		}
		return value, err
	})
	return value.(V), err
}
