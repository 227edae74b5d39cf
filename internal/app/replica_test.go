package app

import (
	"context"
	"log/slog"
	"net"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/internal/testenv"
)

// An API replica measures how far the database's replica is behind.
func TestReplicaLagIsMeasured(t *testing.T) {
	t.Parallel()
	cfg := Default()
	dsn := config.Secret(testenv.NewDatabase(t))
	cfg.Database.Driver, cfg.Database.DSN, cfg.Database.ReadDSN = store.MySQL, dsn, dsn
	cfg.API.DrainDelay = 0
	a, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler), Options{Kind: store.KindAPI})
	testenv.Must(t, err)
	defer a.Close()
	testenv.Must(t, a.Store.Migrate(t.Context()))
	key, err := schemes.New(heartbeat.Merkle, nil)
	testenv.Must(t, err)
	testenv.Must(t, a.JoinWith(t.Context(), []heartbeat.Heartbeat{key}))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	testenv.Must(t, err)
	services, err := a.api(t.Context(), ln)
	testenv.Must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, services...) }()
	testenv.WaitFor(t, "a lag of 0 s", func() bool {
		families, err := a.Ops.Registry.Gather()
		testenv.Must(t, err)
		for _, family := range families {
			if family.GetName() == "downstream_replica_lag_seconds" {
				return family.Metric[0].GetGauge().GetValue() == 0
			}
		}
		return false
	})
	cancel()
	testenv.Must(t, <-ended)
}
