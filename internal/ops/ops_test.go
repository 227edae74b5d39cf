package ops_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/driveshare/downstream-node/internal/ops"
	"github.com/driveshare/downstream-node/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func get(o *ops.Ops, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	o.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

func said(t *testing.T, w *httptest.ResponseRecorder) map[string]string {
	t.Helper()
	var answer map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return answer
}

func check(name string, err error) ops.Check {
	return ops.Check{Name: name, Run: func(context.Context) error { return err }}
}

func TestReadyNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		checks []ops.Check
		code   int
		want   map[string]string
	}{
		{"nothing is needed", nil, http.StatusOK, map[string]string{}},
		{
			"all there",
			[]ops.Check{check("database", nil), check("redis", nil)},
			http.StatusOK,
			map[string]string{"database": "ok", "redis": "ok"},
		},
		{
			"one missing",
			[]ops.Check{check("database", nil), check("redis", errors.New("connection refused"))},
			http.StatusServiceUnavailable,
			map[string]string{"database": "ok", "redis": "connection refused"},
		},
		{
			"all missing",
			[]ops.Check{check("database", errors.New("gone")), check("redis", errors.New("gone too"))},
			http.StatusServiceUnavailable,
			map[string]string{"database": "gone", "redis": "gone too"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := ops.New(false, tt.checks...)
			o.Serve()
			w := get(o, "/readyz")
			got := said(t, w)
			if w.Code != tt.code || len(got) != len(tt.want) {
				t.Errorf("%d %v, want %d %v", w.Code, got, tt.code, tt.want)
			}
			for name, want := range tt.want {
				if got[name] != want {
					t.Errorf("%s: %q, want %q", name, got[name], want)
				}
			}
		})
	}
}

// A dependency that does not answer is missing, and holds nobody up for long.
func TestReadyDoesNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		silent := ops.Check{Name: "database", Run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		o := ops.New(false, silent, check("redis", nil))
		o.Serve()
		w := get(o, "/readyz")
		if got := said(t, w); w.Code != http.StatusServiceUnavailable || got["database"] == "ok" || got["redis"] != "ok" {
			t.Errorf("%d %v", w.Code, got)
		}
	})
}

// A process that waits for its database is alive and not ready, whatever its
// dependencies say.
func TestNotReadyBeforeItServes(t *testing.T) {
	t.Parallel()
	o := ops.New(false, check("database", nil))
	if w := get(o, "/readyz"); w.Code != http.StatusServiceUnavailable || said(t, w)["process"] != "starting" {
		t.Errorf("before: %d %s", w.Code, w.Body)
	}
	o.Serve()
	if w := get(o, "/readyz"); w.Code != http.StatusOK {
		t.Errorf("after: %d %s", w.Code, w.Body)
	}
}

// Draining turns readiness off, and not liveness: a process that drains must
// not be killed for it.
func TestDrain(t *testing.T) {
	t.Parallel()
	o := ops.New(false, check("database", nil))
	o.Serve()
	o.Drain()
	if w := get(o, "/readyz"); w.Code != http.StatusServiceUnavailable || said(t, w)["process"] != "draining" {
		t.Errorf("ready: %d %s", w.Code, w.Body)
	}
	if w := get(o, "/healthz"); w.Code != http.StatusOK || said(t, w)["status"] != "ok" {
		t.Errorf("healthy: %d %s", w.Code, w.Body)
	}
}

// A database that is gone is no reason to restart the process.
func TestHealthAsksNobody(t *testing.T) {
	t.Parallel()
	if w := get(ops.New(false, check("database", errors.New("gone"))), "/healthz"); w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestMetricsAreOfTheProcessAndItsRooms(t *testing.T) {
	t.Parallel()
	o := ops.New(false)
	chunks := prometheus.NewCounter(prometheus.CounterOpts{Name: "downstream_test_chunks_total", Help: "Chunks."})
	o.Registry.MustRegister(chunks)
	chunks.Add(7)
	body, err := io.ReadAll(get(o, "/metrics").Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"downstream_test_chunks_total 7", "go_goroutines ", "process_start_time_seconds "} {
		if !strings.Contains(string(body), want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
}

func TestProfilesAreBehindAFlag(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/goroutine"} {
		if w := get(ops.New(false), path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d where nobody asked for it", path, w.Code)
		}
		if w := get(ops.New(true), path); w.Code != http.StatusOK {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
