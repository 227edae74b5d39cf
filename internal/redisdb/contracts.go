package redisdb

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/redisdb/codec"
)

// Contracts caches contracts, with their current challenges, for API replicas and
// workers. A copy may be missing, or may be older than its row in MySQL, so read
// copies through package contracts.
//
// [Contracts.Put] does not replace a copy by an older copy. But if Redis loses its
// data, or after a Forget, a slow writer may write an old copy because no newer
// copy exists.
type Contracts struct{ db *DB }

// Contracts returns the node's cached contracts.
func (db *DB) Contracts() Contracts { return Contracts{db} }

const (
	// contractLinger is how long a copy is kept after its contract has expired, so
	// that a late proof is refused without reading MySQL.
	contractLinger = 10 * time.Minute
	// contractMaxTTL limits the memory for contracts with a long interval.
	contractMaxTTL = 24 * time.Hour
	// contractBatch is the maximum number of copies in one command, because Redis
	// runs one command at a time.
	contractBatch = 500
)

// Get returns the copies of the contracts, in the order of names. If a copy is
// missing or cannot be parsed, its element is nil.
func (s Contracts) Get(ctx context.Context, names []node.ContractName) ([]*node.Contract, error) {
	contracts := make([]*node.Contract, 0, len(names))
	for batch := range slices.Chunk(names, contractBatch) {
		var values []any
		err := s.db.do(ctx, "get contracts", func(ctx context.Context) (err error) {
			values, err = s.db.Client.MGet(ctx, s.keys(batch)...).Result()
			return err
		})
		if err != nil {
			return nil, err
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

// putContracts writes each value unless the current value has a higher version. The
// version is in the 8 bytes after the first byte. Lua's numbers are exact up to
// 2^53, which no version reaches.
var putContracts = redis.NewScript(`
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

// Put writes copies of contracts as they were committed. It does not replace a copy
// that has a higher version. It leaves out contracts that a fault has moved, because copies
// have no Moved.
func (s Contracts) Put(ctx context.Context, contracts []node.Contract) error {
	now := s.db.now()
	for batch := range slices.Chunk(contracts, contractBatch) {
		keys := make([]string, 0, len(batch))
		args := make([]any, 0, 2*len(batch))
		for i := range batch {
			c := &batch[i]
			if c.Moved != 0 {
				continue
			}
			ttl := min(max(c.Expiry().Sub(now), 0)+contractLinger, contractMaxTTL)
			keys = append(keys, s.key(c.Name()))
			args = append(args, appendContract(make([]byte, 0, contractSize(c)), c), ttl.Milliseconds())
		}
		if len(keys) == 0 {
			continue
		}
		err := s.db.do(ctx, "put contracts", func(ctx context.Context) error {
			return putContracts.Run(ctx, s.db.Client, keys, args...).Err()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Forget deletes copies, so that the next read uses MySQL.
func (s Contracts) Forget(ctx context.Context, names ...node.ContractName) error {
	for batch := range slices.Chunk(names, contractBatch) {
		err := s.db.do(ctx, "forget contracts", func(ctx context.Context) error {
			return s.db.Client.Unlink(ctx, s.keys(batch)...).Err()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s Contracts) keys(names []node.ContractName) []string {
	keys := make([]string, len(names))
	for i, n := range names {
		keys[i] = s.key(n)
	}
	return keys
}

func (s Contracts) key(n node.ContractName) string {
	var buf [160]byte // on the stack, because every proof needs a cache key
	key := s.db.appendCacheKey(buf[:0], "state:")
	key = append(strconv.AppendInt(key, n.TokenID, 10), ':')
	return string(hex.AppendEncode(key, n.FileHash[:]))
}

// contractVersion is the version of the binary encoding. In every version of the
// encoding, the contract's Version must be in the 8 bytes after the first byte,
// because putContracts reads it there.
const contractVersion = 1

// contractSize returns at least the length of a contract's encoding.
func contractSize(c *node.Contract) int {
	const fixed = 192 // more than the length of the fixed fields
	return fixed + len(c.Wrong)*len(node.Digest{}) + len(c.Challenge) + len(c.State)
}

func appendContract(b []byte, c *node.Contract) []byte {
	b = append(b, contractVersion)
	b = codec.AppendInt64(b, c.Version)
	b = codec.AppendInt64(b, c.ID)
	b = codec.AppendInt64(b, c.TokenID)
	b = codec.AppendInt64(b, c.KeyID)
	b = append(b, c.FileHash[:]...)
	b = codec.AppendInt64(b, c.Size)
	b = codec.AppendInt64(b, int64(c.Interval))
	b = codec.AppendInt64(b, c.Sequence)
	b = codec.AppendTime(b, c.Due)
	b = codec.AppendBool(b, c.Answered)
	b = append(b, c.Accepted[:]...)
	b = codec.AppendCount(b, len(c.Wrong))
	for _, d := range c.Wrong {
		b = append(b, d[:]...)
	}
	b = codec.AppendBlob(b, c.Challenge)
	return codec.AppendBlob(b, c.State)
}

// parseContract reads what appendContract wrote. Challenge and State are slices
// of b.
func parseContract(b []byte) (*node.Contract, error) {
	r := codec.NewReader(b)
	r.Version(contractVersion)
	c := &node.Contract{Version: r.Int64(), ID: r.Int64(), TokenID: r.Int64(), KeyID: r.Int64()}
	r.Fill(c.FileHash[:])
	c.Size = r.Int64()
	c.Interval = time.Duration(r.Int64())
	c.Sequence = r.Int64()
	c.Due = r.Time()
	c.Answered = r.Bool()
	r.Fill(c.Accepted[:])
	if n := r.Count(len(node.Digest{})); n > 0 {
		c.Wrong = make([]node.Digest, n)
	}
	for i := range c.Wrong {
		r.Fill(c.Wrong[i][:])
	}
	c.Challenge = r.Blob()
	c.State = r.Blob()
	if err := r.End(); err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	return c, nil
}
