// Package workers contains the background work of a node: it verifies proofs, keeps
// the inventory stocked, sweeps expired contracts and maintains the record.
//
// A [Verifier] reads as many jobs from the queue as inflight has room for. It
// verifies each proof against a copy of its contract, and reads the copies for
// several jobs together. It collects the verdicts of many jobs into one
// transaction, which applies the verdicts to the rows. Then it sends the replies,
// and then it acknowledges the jobs. A worker may die or pause between any two
// steps. The job is then delivered again, and by the rules of package node the
// second delivery changes nothing.
//
// The invariant: a worker commits before it replies, and replies before it
// acknowledges.
//
// At a shutdown, the worker stops reading, verifies the jobs in flight, commits
// them and sends the replies. After the drain timeout it returns the unfinished
// jobs to the queue.
package workers

import (
	"context"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/queue"
	"github.com/driveshare/downstream-node/internal/redisdb"
	"github.com/driveshare/downstream-node/internal/store"
)

// Deps are the parts of the node that workers use.
type Deps struct {
	Store    *store.Store
	Redis    *redisdb.DB
	Queue    *queue.Queue
	Keys     *keyring.Ring
	Log      *slog.Logger
	Registry prometheus.Registerer
	Now      func() time.Time // nil means time.Now
	Known    func() time.Time // nobody has missed a deadline after this time, see node.KnownUntil; nil means no limit
}

// clock returns the time with the precision of the store.
func (d Deps) clock() func() time.Time {
	now := d.Now
	if now == nil {
		now = time.Now
	}
	return func() time.Time { return now().UTC().Truncate(time.Microsecond) }
}

// known returns Known.
func (d Deps) known() func() time.Time {
	if d.Known == nil {
		return func() time.Time { return time.UnixMicro(math.MaxInt64) }
	}
	return d.Known
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// faultPoint lets the fault tests break a worker at a named step. It does
// nothing without the build tag faultpoints.
var faultPoint = func(string) {}
