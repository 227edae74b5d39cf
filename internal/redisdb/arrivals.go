package redisdb

import (
	"context"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/node"
)

// Arrivals keeps the first arrival of proofs that got no verdict. If a farmer sends
// such a proof again after its contract's due time, a worker judges the proof as of
// its first arrival. If Redis loses its data, the worker uses the later arrival.
type Arrivals struct{ db *DB }

// Arrivals returns the node's first arrivals.
func (db *DB) Arrivals() Arrivals { return Arrivals{db} }

// Arrival is the arrival of a proof for a contract.
type Arrival struct {
	Contract node.ContractName
	Proof    node.Digest
	At       time.Time
}

const (
	// arrivalTTL is how long an arrival is kept. Deployed farmers repeat a request
	// every three seconds.
	arrivalTTL = 10 * time.Minute
	// arrivalBatch is the maximum number of arrivals in one round trip.
	arrivalBatch = 500
)

// Note stores arrivals. If there is already an arrival of the same proof, it stays.
func (s Arrivals) Note(ctx context.Context, arrivals []Arrival) error {
	for batch := range slices.Chunk(arrivals, arrivalBatch) {
		err := s.db.do(ctx, "note arrivals", func(ctx context.Context) error {
			_, err := s.db.Client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
				for _, a := range batch {
					pipe.SetNX(ctx, s.key(a), a.At.UnixMicro(), arrivalTTL)
				}
				return nil
			})
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Find returns the first arrival of each proof, in the order of proofs. The zero time
// means that no arrival is stored. Find does not use the field At.
func (s Arrivals) Find(ctx context.Context, proofs []Arrival) ([]time.Time, error) {
	found := make([]time.Time, 0, len(proofs))
	for batch := range slices.Chunk(proofs, arrivalBatch) {
		keys := make([]string, len(batch))
		for i, a := range batch {
			keys[i] = s.key(a)
		}
		var values []any
		err := s.db.do(ctx, "find arrivals", func(ctx context.Context) (err error) {
			values, err = s.db.Client.MGet(ctx, keys...).Result()
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, v := range values {
			text, _ := v.(string)
			at := time.Time{}
			if us, err := strconv.ParseInt(text, 10, 64); err == nil {
				at = time.UnixMicro(us).UTC()
			}
			found = append(found, at)
		}
	}
	return found, nil
}

func (s Arrivals) key(a Arrival) string {
	return s.db.Key("arrival:" + strconv.FormatInt(a.Contract.TokenID, 10) +
		":" + hex.EncodeToString(a.Contract.FileHash[:]) + ":" + hex.EncodeToString(a.Proof[:]))
}
