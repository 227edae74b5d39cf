package scale_test

import (
	"database/sql"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/test/scale"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var start = time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC)

const interval = 5 * time.Minute

// records holds test records in a database, and the store that reads this database.
type records struct {
	*store.Store
	db    *sql.DB
	terms scale.Terms
	size  scale.Size
}

// onEach runs a test with records of this size in each kind of database.
func onEach(t *testing.T, size scale.Size, test func(t *testing.T, r *records)) {
	t.Helper()
	testenv.OnEach(t, []string{store.MySQL, store.SQLite}, func(t *testing.T, driver string) {
		test(t, newRecords(t, driver, size))
	})
}

func newRecords(t *testing.T, driver string, size scale.Size) *records {
	t.Helper()
	cfg, dsn := config.Default[store.Config](), ""
	cfg.Driver = driver
	if driver == store.MySQL {
		dsn = testenv.NewDatabase(t)
		cfg.DSN = config.Secret(dsn)
	} else {
		dsn = filepath.Join(t.TempDir(), "node.db")
		cfg.Path = dsn
	}
	st, err := store.Open(cfg, slog.Default())
	must(t, err)
	t.Cleanup(func() { must(t, st.Close()) })
	must(t, st.Migrate(t.Context()))
	keys, err := st.RegisterKeys(t.Context(), []store.Key{{Fingerprint: "one", Type: "Merkle"}}, nil, start)
	must(t, err)
	db, err := sql.Open(driver, dsn)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	terms := scale.Terms{KeyID: keys[0].ID, Challenge: []byte("challenge"), State: []byte("state"), Interval: interval, Now: start}
	must(t, scale.Fill(t.Context(), db, size, terms, nil))
	return &records{st, db, terms, size}
}

var must = testenv.Must
