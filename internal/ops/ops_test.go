package ops_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/driveshare/downstream-node/internal/ops"
	"github.com/driveshare/downstream-node/internal/program"
	"github.com/driveshare/downstream-node/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func get(o *ops.Ops, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	o.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

func decode(t *testing.T, w *httptest.ResponseRecorder) map[string]string {
	t.Helper()
	var response map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &response); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return response
}

func check(name string, err error) ops.Check {
	return ops.Check{Name: name, Run: func(context.Context) error { return err }}
}

func TestReadyListsEveryDependency(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		checks []ops.Check
		code   int
		want   map[string]string
	}{
		{"no dependencies", nil, http.StatusOK, map[string]string{}},
		{
			"all usable",
			[]ops.Check{check("database", nil), check("redis", nil)},
			http.StatusOK,
			map[string]string{"database": "ok", "redis": "ok"},
		},
		{
			"one unusable",
			[]ops.Check{check("database", nil), check("redis", errors.New("connection refused"))},
			http.StatusServiceUnavailable,
			map[string]string{"database": "ok", "redis": "connection refused"},
		},
		{
			"none usable",
			[]ops.Check{check("database", errors.New("unreachable")), check("redis", errors.New("disk full"))},
			http.StatusServiceUnavailable,
			map[string]string{"database": "unreachable", "redis": "disk full"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := ops.New(false, tt.checks...)
			o.Serve()
			w := get(o, "/readyz")
			got := decode(t, w)
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

// A dependency that does not respond is reported as unusable after a timeout.
func TestReadyLimitsTheWaitForADependency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		silent := ops.Check{Name: "database", Run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		o := ops.New(false, silent, check("redis", nil))
		o.Serve()
		w := get(o, "/readyz")
		if got := decode(t, w); w.Code != http.StatusServiceUnavailable || got["database"] == "ok" || got["redis"] != "ok" {
			t.Errorf("%d %v", w.Code, got)
		}
		o.Close()
	})
}

// A check that takes longer than a probe waits must be completed, because it may be
// opening a connection. The probes until then must not start it again.
func TestSlowCheckIsCompleted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		o := ops.New(false, ops.Check{Name: "database", Run: func(ctx context.Context) error {
			runs++
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(10 * time.Second):
				return nil
			}
		}})
		o.Serve()
		for range 10 {
			w := get(o, "/readyz")
			if got := decode(t, w); w.Code != http.StatusServiceUnavailable || !strings.HasPrefix(got["database"], "no response for ") {
				t.Errorf("%d %v", w.Code, got)
			}
		}
		time.Sleep(2100 * time.Millisecond)
		if w := get(o, "/readyz"); w.Code != http.StatusOK || runs != 1 {
			t.Errorf("%d %s after %d runs", w.Code, w.Body, runs)
		}
	})
}

// A dependency that stops responding is reported with its last error.
func TestReadyNamesTheLastError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		silent := false
		o := ops.New(false, ops.Check{Name: "database", Run: func(ctx context.Context) error {
			if silent {
				<-ctx.Done()
			}
			return errors.New("Access denied")
		}})
		o.Serve()
		get(o, "/readyz")
		time.Sleep(2 * time.Second)
		silent = true
		if got := decode(t, get(o, "/readyz")); got["database"] != "no response for 0.8 s; before that: Access denied" {
			t.Errorf("%q", got["database"])
		}
		o.Close()
	})
}

// A dependency that becomes slow is usable for a while, and then it is not.
func TestSlowDependency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var slow time.Duration
		o := ops.New(false, ops.Check{Name: "database", Run: func(ctx context.Context) error { time.Sleep(slow); return nil }})
		o.Serve()
		get(o, "/readyz")
		time.Sleep(2 * time.Second)
		slow = 20 * time.Second
		for began := time.Now(); time.Since(began) < 10*time.Second; {
			w := get(o, "/readyz")
			if usable := time.Since(began) < 3*time.Second; (w.Code == http.StatusOK) != usable {
				t.Errorf("after %v: %d %s", time.Since(began), w.Code, w.Body)
			}
		}
		o.Close()
	})
}

// However many probes come, a dependency is checked once a second.
func TestProbesShareAResult(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		o := ops.New(false, ops.Check{Name: "database", Run: func(context.Context) error { runs++; return nil }})
		for range 100 {
			get(o, "/readyz")
		}
		if runs != 1 {
			t.Errorf("%d runs for 100 probes", runs)
		}
		time.Sleep(time.Second)
		if get(o, "/readyz"); runs != 2 {
			t.Errorf("%d runs after a second", runs)
		}
	})
}

// Watch runs the checks even if nobody probes the process.
func TestWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		o := ops.New(false, ops.Check{Name: "database", Run: func(context.Context) error { runs.Add(1); return nil }})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := o.Watch(ctx); err != nil {
			t.Error(err)
		}
		if n := runs.Load(); n < 25 || n > 35 {
			t.Errorf("%d runs in a minute", n)
		}
		o.Close()
	})
}

// Before Serve the process is not ready, even if every dependency is usable.
func TestNotReadyBeforeItServes(t *testing.T) {
	t.Parallel()
	o := ops.New(false, check("database", nil))
	if w := get(o, "/readyz"); w.Code != http.StatusServiceUnavailable || decode(t, w)["process"] != "starting" {
		t.Errorf("before: %d %s", w.Code, w.Body)
	}
	o.Serve()
	if w := get(o, "/readyz"); w.Code != http.StatusOK {
		t.Errorf("after: %d %s", w.Code, w.Body)
	}
}

// A draining process is not ready but still alive, so that the kubelet does not
// kill it.
func TestDrain(t *testing.T) {
	t.Parallel()
	o := ops.New(false, check("database", nil))
	o.Serve()
	o.Drain()
	if w := get(o, "/readyz"); w.Code != http.StatusServiceUnavailable || decode(t, w)["process"] != "draining" {
		t.Errorf("ready: %d %s", w.Code, w.Body)
	}
	if w := get(o, "/healthz"); w.Code != http.StatusOK || decode(t, w)["status"] != "ok" {
		t.Errorf("healthy: %d %s", w.Code, w.Body)
	}
}

// Restarting the process does not help if the database is unreachable, so
// liveness ignores the dependencies.
func TestHealthIgnoresDependencies(t *testing.T) {
	t.Parallel()
	if w := get(ops.New(false, check("database", errors.New("unreachable"))), "/healthz"); w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestMetricsOfTheProcessAndItsComponents(t *testing.T) {
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

func TestProfilesAreOffUnlessEnabled(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/goroutine"} {
		if w := get(ops.New(false), path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d although profiles are off", path, w.Code)
		}
		if w := get(ops.New(true), path); w.Code != http.StatusOK {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// TestChangesAreLogged checks that a line says when a check begins to fail, and when it no
// longer fails, but not each time that it fails.
func TestChangesAreLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		var log bytes.Buffer
		o := ops.New(false, ops.Check{Name: "redis", Run: func(context.Context) error {
			if down.Load() {
				return errors.New("connection refused")
			}
			return nil
		}})
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		defer o.Close()
		ctx, end := context.WithCancel(t.Context())
		go o.Watch(ctx)
		defer end()
		time.Sleep(10 * time.Second)
		down.Store(false)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[0], `check=redis error="connection refused"`) ||
			!strings.Contains(lines[1], "level=INFO") || !strings.Contains(lines[1], "no longer fails") {
			t.Errorf("the log is\n%s", &log)
		}
	})
}

// samples returns the text of the samples of a metric.
func samples(o *ops.Ops, metric string) string {
	var found []string
	for line := range strings.Lines(get(o, "/metrics").Body.String()) {
		if strings.HasPrefix(line, metric) {
			found = append(found, line)
		}
	}
	return strings.Join(found, "")
}

func TestMetricOfTheVersion(t *testing.T) {
	t.Parallel()
	got := samples(ops.New(false), "downstream_build_info")
	for _, want := range []string{`goversion="` + runtime.Version() + `"`, `program="downstream-node"`, `version="` + program.Release() + `"`, "} 1\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s has no %s", got, want)
		}
	}
}

func TestMetricOfCertificates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	testenv.WriteCertificate(t, file("short.pem"), file("short.key"), 1)
	var chain []byte
	for _, name := range []string{"short.key", "short.pem"} { // a key in the file is not a certificate
		text, err := os.ReadFile(file(name))
		testenv.Must(t, err)
		chain = append(chain, text...)
	}
	testenv.Must(t, os.WriteFile(file("chain.pem"), chain, 0o600))
	testenv.Must(t, os.WriteFile(file("broken.pem"), []byte("no certificate"), 0o600))
	block, _ := pem.Decode(chain[bytes.Index(chain, []byte("-----BEGIN CERTIFICATE")):])
	cert, err := x509.ParseCertificate(block.Bytes)
	testenv.Must(t, err)

	o := ops.New(false)
	o.Registry.MustRegister(ops.Certificates{"api": file("chain.pem"), "redis": file("broken.pem"), "database": file("missing.pem")})
	got := samples(o, "downstream_certificate_expiry_timestamp_seconds")
	value, ok := strings.CutPrefix(strings.TrimSpace(got), `downstream_certificate_expiry_timestamp_seconds{certificate="api"} `)
	expiry, err := strconv.ParseFloat(value, 64)
	if !ok || err != nil || int64(expiry) != cert.NotAfter.Unix() {
		t.Errorf("%q, want only the certificate of the api, which expires at %d", got, cert.NotAfter.Unix())
	}
}
