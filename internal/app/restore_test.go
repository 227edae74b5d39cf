package app_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/glebarez/sqlite"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

// readiness probes a process until done reports true for its response.
func readiness(t *testing.T, n *testnode.Node, done func(code int, response map[string]string) bool) {
	t.Helper()
	testenv.WaitFor(t, "the readiness that the test wants", func() bool {
		w := httptest.NewRecorder()
		n.Ops.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
		var response map[string]string
		testenv.Must(t, json.Unmarshal(w.Body.Bytes(), &response))
		time.Sleep(20 * time.Millisecond)
		return done(w.Code, response)
	})
}

// serveOnSQLite returns a node that is ready, and its database.
func serveOnSQLite(t *testing.T) (*testnode.Node, *sql.DB) {
	t.Helper()
	cfg := testnode.Config()
	cfg.Database.Path = filepath.Join(t.TempDir(), "node.db")
	key, err := schemes.New(heartbeat.Merkle, nil)
	testenv.Must(t, err)
	n := testnode.Open(t, testnode.Embedded, cfg, []heartbeat.Heartbeat{key})
	n.Ops.Serve()
	readiness(t, n, ready)
	db, err := sql.Open(sqlite.DriverName, cfg.Database.Path)
	testenv.Must(t, err)
	t.Cleanup(func() { db.Close() })
	return n, db
}

func ready(code int, _ map[string]string) bool { return code == http.StatusOK }

// The database of a running process is set back to an earlier state. The readiness check notices
// it, and the process then finds no copy that it made before.
func TestCopiesAreDroppedAfterARestore(t *testing.T) {
	t.Parallel()
	n, db := serveOnSQLite(t)
	testnode.Background(t, func(ctx context.Context) { _ = n.Ops.Watch(ctx) })
	token := node.TokenHash{1}
	testenv.Must(t, n.Redis.Tokens().Put(t.Context(), token, []byte("copy"), time.Hour))

	for _, text := range []string{"UPDATE processes SET seen = 1", "ALTER TABLE heartbeat_keys RENAME TO hidden"} {
		_, err := db.Exec(text)
		testenv.Must(t, err)
	}
	// The restore is not complete. The process must say so, and try again.
	readiness(t, n, func(code int, response map[string]string) bool {
		return code != http.StatusOK && strings.Contains(response["database"], "earlier state")
	})
	_, err := db.Exec("ALTER TABLE hidden RENAME TO heartbeat_keys")
	testenv.Must(t, err)
	readiness(t, n, ready)
	if copied, err := n.Redis.Tokens().Get(t.Context(), token); copied != nil || err != nil {
		t.Errorf("the process still uses a copy: %q, %v", copied, err)
	}
	if !strings.Contains(n.Logs.String(), "db restored") {
		t.Error("the log does not say what to do after a restore")
	}
}

// A database that responds but refuses writes makes the process unready, with the
// database's own words.
func TestReadinessWrites(t *testing.T) {
	t.Parallel()
	n, db := serveOnSQLite(t)
	_, err := db.Exec("CREATE TRIGGER full BEFORE UPDATE ON processes BEGIN SELECT RAISE(ABORT, 'the disk is full'); END")
	testenv.Must(t, err)
	readiness(t, n, func(code int, response map[string]string) bool {
		return code == http.StatusServiceUnavailable && strings.Contains(response["database"], "the disk is full") && response["redis"] == "ok"
	})
	_, err = db.Exec("DROP TRIGGER full")
	testenv.Must(t, err)
	readiness(t, n, ready)
}
