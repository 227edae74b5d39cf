//go:build browser

package browser

import (
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http/httptest"
	"testing"
	"time"

	_ "github.com/glebarez/sqlite" // registers the driver "sqlite"

	"github.com/driveshare/downstream-node/apiserver/page/pagetest"
	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/roster"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

// serveCrowd starts a real API replica with n farmers in its SQLite database.
func serveCrowd(t *testing.T, n int) (address string) {
	t.Helper()
	cfg := app.StandaloneDefaults(t.TempDir(), 0)
	a, err := app.Open(t.Context(), cfg, slog.New(slog.DiscardHandler), app.Options{})
	check(t, err)
	t.Cleanup(a.Close)
	check(t, a.Store.Migrate(t.Context()))
	fill(t, cfg.Database.Path, n)
	// No farmer calls the replica, so it needs no heartbeat key.
	api, err := a.NewAPI(t.Context())
	check(t, err)
	testnode.Background(t, api.Run)
	server := httptest.NewServer(api.Handler())
	t.Cleanup(server.Close)
	return server.URL
}

// fill copies the farmers of the records in memory into a database.
func fill(t *testing.T, path string, n int) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	check(t, err)
	defer db.Close()
	tx, err := db.BeginTx(t.Context(), nil)
	check(t, err)
	farmers := pagetest.New(n).List(roster.Query{})
	if len(farmers) != n {
		t.Fatalf("%d farmers, want %d", len(farmers), n)
	}
	now := time.Now()
	for i, f := range farmers {
		since := now.Add(-time.Duration(1+mathrand.IntN(1000)) * time.Hour)
		end := now.Add(time.Hour)
		if !f.Uptime.Online(pagetest.Now) {
			end = since.Add(time.Hour)
		}
		before := time.Duration(mathrand.IntN(60)) * time.Minute
		token := sha256.Sum256([]byte(rand.Text()))
		_, err = tx.Exec("INSERT INTO addresses (id, address) VALUES (?, ?)", i+1, f.Address)
		check(t, err)
		var lat, lon, country, city any
		if l := f.Location; l != nil {
			lat, lon, country, city = l.Lat, l.Lon, l.Country, l.City
		}
		evidence, err := f.Evidence.MarshalBinary()
		check(t, err)
		_, err = tx.Exec("INSERT INTO tokens (hash, farmer_id, address_id, key_id, ip, country, state, city, zip, lat, lon, heartbeats, contracts, size,"+
			" up_since, up_start, up_end, up_before, last_due, evidence, proven_since, last_heartbeat, created) VALUES (?, ?, ?, 1, ?, ?, '', ?, '', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			token[:], hex.EncodeToString(token[:10]), i+1, fmt.Sprintf("10.0.%d.%d", i>>8&255, i&255), country, city, lat, lon,
			f.Heartbeats, f.Contracts, f.Size, since.UnixMicro(), since.Add(before).UnixMicro(), end.UnixMicro(), 0, end.UnixMicro(),
			evidence, micros(f.ProvenSince), micros(f.LastHeartbeat), since.UnixMicro())
		check(t, err)
	}
	check(t, tx.Commit())
}

func micros(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixMicro()
}

var check = testenv.Must
