package app_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

// A process ends if its database is TiDB, because waiting is useless.
func TestProcessEndsOnTiDB(t *testing.T) {
	t.Parallel()
	cfg := testnode.Config()
	cfg.Database.Driver = store.MySQL
	cfg.Database.DSN = config.Secret(testenv.StartMariaDB(t, testenv.Fast, "--version=8.0.11-TiDB-v8.5.4").NewDatabase(t))
	a, err := app.Open(t.Context(), cfg, slog.New(slog.DiscardHandler), app.Options{Kind: store.KindAPI})
	testenv.Must(t, err)
	defer a.Close()
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	if err := a.JoinWith(ctx, nil); !errors.Is(err, store.ErrUnsupported) {
		t.Errorf("error %v, want %v", err, store.ErrUnsupported)
	}
}

// A process says at its start that the database ignores SKIP LOCKED.
func TestDatabaseThatIgnoresSkipLocked(t *testing.T) {
	t.Parallel()
	for name, words := range map[string]string{"honest database": "no such words", "database that ignores it": " SKIP LOCKED"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := testnode.Config()
			cfg.Database.Driver = store.MySQL
			cfg.Database.DSN = config.Secret(testenv.MySQLProxy(t, testenv.NewDatabase(t), func(packet []byte) { testenv.Blank(packet, words) }))
			key, err := schemes.New(heartbeat.Merkle, nil)
			testenv.Must(t, err)
			n := testnode.Open(t, testnode.Embedded, cfg, []heartbeat.Heartbeat{key})
			ignored := words == " SKIP LOCKED"
			if warned := strings.Contains(n.Logs.String(), "ignores SKIP LOCKED"); warned != ignored {
				t.Errorf("warned: %t", warned)
			}
			families, err := n.Ops.Registry.Gather()
			testenv.Must(t, err)
			found := -1.0
			for _, family := range families {
				if family.GetName() == "downstream_database_ignores_skip_locked" {
					found = family.Metric[0].GetGauge().GetValue()
				}
			}
			if want := map[bool]float64{true: 1}[ignored]; found != want {
				t.Errorf("the metric is %v, want %v", found, want)
			}
		})
	}
}
