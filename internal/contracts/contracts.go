// Package contracts reads contracts through the cache in Redis, which API replicas
// and workers share. MySQL is the source of truth; the cache saves reads.
//
// The rule: a cached contract may confirm an accepted proof. It must not be used to
// reject a proof; read MySQL first. A copy may be stale, so a rejection based on a
// copy could be wrong. An accepted proof stays accepted. If a challenge is taken
// from a copy, the commit checks the challenge again through its sequence number.
package contracts

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/redisdb"
	"github.com/driveshare/downstream-node/internal/store"
)

// Reader reads contracts. It is safe for concurrent use.
type Reader struct {
	cache redisdb.Contracts
	store *store.Store
	log   *slog.Logger
}

// NewReader returns a reader of the contracts in st, with db as the cache.
func NewReader(db *redisdb.DB, st *store.Store, log *slog.Logger) *Reader {
	return &Reader{cache: db.Contracts(), store: st, log: log}
}

// Read returns the contracts in the order of names. A name may occur several times.
// For a contract that does not exist, the element is nil. rejects(i, c) must report
// whether the caller would reject the request for names[i] because of the copy c.
// If it returns true, Read reads the contract from MySQL and updates the cache. If it
// cannot read MySQL, Read returns the error, and the contracts that it found in the
// cache.
func (r *Reader) Read(ctx context.Context, names []node.ContractName, rejects func(i int, c *node.Contract) bool) ([]*node.Contract, error) {
	contracts, err := r.cache.Get(ctx, names)
	if err != nil {
		contracts = make([]*node.Contract, len(names)) // without Redis, all contracts come from MySQL
	}
	var missing []node.ContractName
	for i, c := range contracts {
		if c == nil || rejects(i, c) {
			missing = append(missing, names[i])
			contracts[i] = nil
		}
	}
	if len(missing) == 0 {
		return contracts, nil
	}
	read, err := r.store.Contracts(ctx, missing)
	if err != nil {
		return contracts, err
	}
	for i, name := range names {
		if c, ok := read[name]; ok {
			contracts[i] = &c
		}
	}
	r.Share(ctx, slices.Collect(maps.Values(read)))
	return contracts, nil
}

// Share writes committed contracts to the cache. It only logs errors, because
// readers then use MySQL.
func (r *Reader) Share(ctx context.Context, contracts []node.Contract) {
	if err := r.cache.Put(ctx, contracts); err != nil {
		r.log.Debug("cannot cache contracts", "contracts", len(contracts), "error", err)
	}
}

// Forget deletes contracts from the cache. It only logs errors, because a cached copy
// may always be stale.
func (r *Reader) Forget(ctx context.Context, names []node.ContractName) {
	if err := r.cache.Forget(ctx, names...); err != nil {
		r.log.Debug("cannot delete cached contracts", "contracts", len(names), "error", err)
	}
}
