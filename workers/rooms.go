package workers

import (
	"log/slog"
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
}

// clock is the time as the store keeps it.
func (d Deps) clock() func() time.Time {
	now := d.Now
	if now == nil {
		now = time.Now
	}
	return func() time.Time { return now().UTC().Truncate(time.Microsecond) }
}
