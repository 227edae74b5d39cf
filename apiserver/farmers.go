package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
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

// tokenCacheTime is how long a replica may go on knowing a token that was
// deleted. The store refuses what such a token asks for all the same.
const tokenCacheTime = time.Minute

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

// token reads a token's record, from Redis where it is there.
func (s *Server) token(ctx context.Context, hash node.TokenHash) (store.Token, error) {
	var record store.Token
	if raw, err := s.queue.Tokens().Get(ctx, hash); err == nil && raw != nil && json.Unmarshal(raw, &record) == nil {
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
	if raw, err := json.Marshal(record); err == nil {
		_ = s.queue.Tokens().Put(ctx, hash, raw, tokenCacheTime)
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
