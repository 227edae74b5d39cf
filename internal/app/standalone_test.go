package app

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// status is the part of a farmer's status that the tests read.
type status struct {
	ID                          string
	Heartbeats, Contracts, Size int64
	Uptime                      float64
	Online                      bool
	Location                    struct{ City string }
}

// standalone is a whole node that runs in the test's process.
type standalone struct {
	url  string
	stop func() error
}

func startStandalone(t *testing.T, dir string, demo int) standalone {
	t.Helper()
	cfg := StandaloneDefaults(dir, demo)
	cfg.API.Listen, cfg.API.Private.Listen = testenv.FreeAddress(t), testenv.FreeAddress(t)
	// The interval is longer than a restart takes on a busy machine. If a node is
	// down for an interval, its contracts expire.
	cfg.Contracts.Interval = 12 * time.Second
	cfg.Inventory.MaxChunkSize = 64 << 10
	cfg.Inventory.TotalSize = 4 << 20
	if err := config.Validate(&cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- ServeStandalone(ctx, cfg, slog.New(slog.DiscardHandler), dir, demo, new(bytes.Buffer))
	}()
	n := standalone{url: "http://" + cfg.API.Listen, stop: func() error { cancel(); return <-ended }}
	return n
}

func (n standalone) farmers(t *testing.T) map[string]status {
	t.Helper()
	resp, err := http.Get(n.url + "/api/downstream/status/list")
	if err != nil {
		return nil // the node does not respond yet
	}
	defer resp.Body.Close()
	var list struct{ Farmers []status }
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	byID := map[string]status{}
	for _, f := range list.Farmers {
		byID[f.ID] = f
	}
	return byID
}

// until polls the farmers until wanted returns true.
func (n standalone) until(t *testing.T, what string, wanted func(map[string]status) bool) map[string]status {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for time.Now().Before(deadline) {
		if farmers := n.farmers(t); wanted(farmers) {
			return farmers
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("not within two minutes: %s; farmers: %+v", what, n.farmers(t))
	return nil
}

func TestStandaloneDemoKeepsContractsOverARestart(t *testing.T) {
	t.Parallel()
	const demo = 2
	dir := filepath.Join(t.TempDir(), "data")
	n := startStandalone(t, dir, demo)
	before := n.until(t, "two farmers with two heartbeats for each contract", func(all map[string]status) bool {
		return len(all) == demo && every(all, func(f status) bool { return f.Online && f.Contracts > 0 && f.Heartbeats >= 2*f.Contracts })
	})
	if err := n.stop(); err != nil {
		t.Fatalf("stopping: %v", err)
	}

	n = startStandalone(t, dir, demo)
	after := n.until(t, "more heartbeats than before the restart", func(all map[string]status) bool {
		return len(all) >= demo && every(all, func(f status) bool { return f.Heartbeats > before[f.ID].Heartbeats+f.Contracts })
	})
	if err := n.stop(); err != nil {
		t.Fatalf("stopping: %v", err)
	}
	if len(after) != demo {
		t.Errorf("%d farmers after the restart, want the same %d", len(after), demo)
	}
	for id, was := range before {
		is, ok := after[id]
		if !ok || is.Contracts < was.Contracts || is.Size < was.Size {
			t.Errorf("farmer %s was %+v and is %+v", id, was, is)
		}
		if !strings.HasSuffix(is.Location.City, " (invented)") {
			t.Errorf("farmer %s is in %q, want an invented place", id, is.Location.City)
		}
		if is.Uptime != 100 {
			t.Errorf("farmer %s has an uptime of %v, want 100: the restart was shorter than an interval", id, is.Uptime)
		}
	}
}

func every(all map[string]status, is func(status) bool) bool {
	for _, f := range all {
		if !is(f) {
			return false
		}
	}
	return true
}
