//go:build faults

package faults

import (
	"database/sql"
	"net/http"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/test/deployment"
)

// A replica starts slowly. It must not report that it is ready before it can serve
// farmers. Otherwise a load balancer would send requests to it, and they would
// fail.
func TestReadyOnlyAfterKeysAreRegistered(t *testing.T) {
	t.Parallel()
	n := deployment.Start(t, binary, testenv.Fast, shortTimes)
	first := n.API(t, nil) // makes the rows that the next replica needs
	release := lockKeys(t, n.Database(t))
	slow := n.LaunchAPI(t, nil)
	for range 100 {
		if slow.Ready() {
			t.Fatal("the replica reports that it is ready before it has registered its keys")
		}
		time.Sleep(10 * time.Millisecond)
	}
	release()
	eventually(t, "the replica is ready", slow.Ready)
	for _, api := range []*deployment.Replica{first, slow} {
		resp, err := http.Get(api.URL + "/api/downstream/v1/")
		if err != nil {
			t.Fatalf("the replica is ready but does not respond: %v", err)
		}
		resp.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
}

// lockKeys holds the lock that a process takes to register its keys.
func lockKeys(t *testing.T, db *sql.DB) (release func()) {
	t.Helper()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	res, err := tx.Exec("UPDATE settings SET value = 'held' WHERE name = 'lock_heartbeat_keys'")
	if err != nil {
		t.Fatal(err)
	}
	if rows, err := res.RowsAffected(); rows != 1 || err != nil {
		t.Fatalf("%d locks, %v", rows, err)
	}
	release = func() { _ = tx.Rollback() } // the transaction may have ended
	t.Cleanup(release)
	return release
}
