package queue

import (
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/node"
)

// States is the copies of contracts, with their current challenges, that API
// and workers share. MySQL has the truth: a copy may be missing or behind, and
// what is decided on it is stored only if the row still says the same.
type States struct{ q *Queue }

// States are the node's copies of contracts.
func (q *Queue) States() States { return States{q} }

const (
	// stateLinger is how long a copy outlives its contract, so that those who
	// come late are told so without asking MySQL.
	stateLinger = 10 * time.Minute
	// stateMaxTTL bounds what a contract with a long interval takes up.
	stateMaxTTL = 24 * time.Hour
	// stateBatch is how many copies one command touches: Redis does nothing
	// else meanwhile.
	stateBatch = 500
)

// Get gives the copies of the token's contracts for these files, in their
// order; nil where there is none that can be read.
func (s States) Get(ctx context.Context, tokenID int64, files []node.FileHash) ([]*node.Contract, error) {
	names := make([]node.ContractName, len(files))
	for i, f := range files {
		names[i] = node.ContractName{TokenID: tokenID, FileHash: f}
	}
	return s.GetNamed(ctx, names)
}

// GetNamed is Get for contracts of any tokens.
func (s States) GetNamed(ctx context.Context, names []node.ContractName) ([]*node.Contract, error) {
	contracts := make([]*node.Contract, 0, len(names))
	for batch := range slices.Chunk(names, stateBatch) {
		values, err := s.get(ctx, batch)
		if err != nil {
			return nil, wrap("get states", err)
		}
		for i, v := range values {
			text, _ := v.(string)
			c, err := parseContract([]byte(text))
			if err != nil || c.Name() != batch[i] {
				c = nil
			}
			contracts = append(contracts, c)
		}
	}
	return contracts, nil
}

func (s States) get(ctx context.Context, names []node.ContractName) ([]any, error) {
	ctx, cancel := s.q.bounded(ctx)
	defer cancel()
	return s.q.client.MGet(ctx, s.keys(names)...).Result()
}

// putStates writes the values, except over one of a higher version. Versions
// are the 8 bytes after the first; Lua's numbers are exact up to 2^53, more
// than a contract can be changed.
var putStates = redis.NewScript(`
local byte = string.byte
local function version(s)
  local a, b, c, d, e, f, g, h = byte(s, 2, 9)
  return ((((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f) * 256 + g) * 256 + h
end
for i, key in ipairs(KEYS) do
  local held = redis.call('GETRANGE', key, '0', '8')
  local value = ARGV[2 * i - 1]
  if #held < 9 or version(held) <= version(value) then
    redis.call('SET', key, value, 'PX', ARGV[2 * i])
  end
end
return #KEYS
`)

// Put writes copies of the contracts as they were committed. One that is
// already there of a higher version stays.
func (s States) Put(ctx context.Context, contracts []node.Contract) error {
	now := s.q.now()
	for batch := range slices.Chunk(contracts, stateBatch) {
		keys := make([]string, 0, len(batch))
		args := make([]any, 0, 2*len(batch))
		for i := range batch {
			c := &batch[i]
			ttl := min(max(c.Expiry().Sub(now), 0)+stateLinger, stateMaxTTL)
			keys = append(keys, s.q.stateKey(c.TokenID, c.FileHash))
			args = append(args, appendContract(make([]byte, 0, contractSize(c)), c), ttl.Milliseconds())
		}
		if err := s.put(ctx, keys, args); err != nil {
			return wrap("put states", err)
		}
	}
	return nil
}

func (s States) put(ctx context.Context, keys []string, args []any) error {
	ctx, cancel := s.q.bounded(ctx)
	defer cancel()
	return putStates.Run(ctx, s.q.client, keys, args...).Err()
}

// Forget removes copies, so that the next look is at MySQL.
func (s States) Forget(ctx context.Context, names ...node.ContractName) error {
	for batch := range slices.Chunk(names, stateBatch) {
		if err := s.q.unlink(ctx, s.keys(batch)); err != nil {
			return wrap("forget states", err)
		}
	}
	return nil
}

func (s States) keys(names []node.ContractName) []string {
	keys := make([]string, len(names))
	for i, n := range names {
		keys[i] = s.q.stateKey(n.TokenID, n.FileHash)
	}
	return keys
}

func (q *Queue) unlink(ctx context.Context, keys []string) error {
	ctx, cancel := q.bounded(ctx)
	defer cancel()
	return q.client.Unlink(ctx, keys...).Err()
}
