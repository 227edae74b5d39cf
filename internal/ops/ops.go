// Package ops serves the private HTTP port of every node process: liveness,
// readiness, metrics and, if enabled, profiles.
//
// The port is for operators and their tools. Farmers must not be able to reach
// it.
package ops

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/program"
)

// Config is the configuration of the private port. It is a part of other sections of
// the configuration.
type Config struct {
	// The address of `/healthz`, `/readyz` and `/metrics`, `host:port`. Farmers must
	// not be able to reach it. A standalone node uses only `api.privateListen`.
	Listen string `yaml:"privateListen" default:":9090"`
	// Whether the private port also serves `/debug/pprof`.
	Pprof bool `yaml:"pprof"`
}

// Validate implements [config.Validator].
func (c Config) Validate(p *config.Problems) {
	p.Check("privateListen", config.CheckAddress(c.Listen))
}

// Check reports whether one dependency is usable now. Run may take longer than a
// probe waits.
type Check struct {
	Name string
	Run  func(context.Context) error
}

// Ops holds the health state and metrics of one process.
type Ops struct {
	Registry *prometheus.Registry
	Log      *slog.Logger // gets a line when a check begins to fail, and when it no longer fails

	checks   []*checker
	serving  atomic.Bool
	draining atomic.Bool
	profiles bool

	ended   context.Context // ends the checks
	end     context.CancelFunc
	running sync.WaitGroup // the checks that are running
}

// New makes an Ops and registers the metrics of the Go runtime, the process and the
// version.
func New(profiles bool, checks ...Check) *Ops {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), program.BuildInfo("downstream-node"))
	o := &Ops{Registry: reg, Log: slog.New(slog.DiscardHandler), profiles: profiles}
	o.ended, o.end = context.WithCancel(context.Background())
	for _, check := range checks {
		o.checks = append(o.checks, &checker{Check: check})
	}
	return o
}

// Close ends the checks that are running.
func (o *Ops) Close() {
	o.end()
	o.running.Wait()
}

// Serve marks the process as ready. The process must have joined its node before.
// Until the call of Serve, load balancers send the process no requests.
func (o *Ops) Serve() { o.serving.Store(true) }

// Drain marks the process as permanently not ready. The process is about to stop, so
// load balancers must send it no more requests.
func (o *Ops) Drain() { o.draining.Store(true) }

// Handler serves /healthz, /readyz, /metrics and /debug/pprof.
func (o *Ops) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", o.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{Registry: o.Registry}))
	if o.profiles {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

const (
	// probeWait limits how long a probe waits for the checks. It is below one
	// second, the kubelet's default timeout for a probe.
	probeWait = 800 * time.Millisecond
	// resultAge is how long the result of a check is good. However many probes come,
	// a dependency is checked at most once in this time.
	resultAge = time.Second
	// patience is how long a check may take before a dependency that was usable
	// counts as not usable.
	patience = 3 * time.Second
	// watchEach is how often Watch runs the checks.
	watchEach = 2 * time.Second
	// checkTimeout limits one run of a check.
	checkTimeout = time.Minute
)

// Watch runs the checks every two seconds until ctx ends, whether or not there are
// probes.
func (o *Ops) Watch(ctx context.Context) error {
	tick := time.NewTicker(watchEach)
	defer tick.Stop()
	for {
		for _, c := range o.checks {
			c.start(o)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// checker runs one check at a time, and keeps its last result.
type checker struct {
	Check

	mu    sync.Mutex
	run   chan struct{} // closed at the end of the run in progress; nil if there is none
	begun time.Time     // when the last run began
	ended time.Time     // when the last run ended; zero if none has ended
	err   error         // the result of the last run that has ended
}

// start runs the check, unless it is running or its last result is still good. The
// run does not end with a probe: a connection to a database may take longer to open
// than a probe waits, and must still be completed. start returns nil if the last
// result is good.
func (c *checker) start(o *Ops) (run <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.run != nil {
		return c.run
	}
	if !c.ended.IsZero() && time.Since(c.ended) < resultAge {
		return nil
	}
	ended := make(chan struct{})
	c.run, c.begun = ended, time.Now()
	o.running.Go(func() {
		ctx, cancel := context.WithTimeout(o.ended, checkTimeout)
		defer cancel()
		err := c.Run(ctx)
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case o.ended.Err() != nil: // the process stops
		case err != nil && c.err == nil:
			o.Log.Warn("a check fails, so this process is not ready", "check", c.Name, "error", err)
		case err == nil && c.err != nil:
			o.Log.Info("the check no longer fails", "check", c.Name)
		}
		c.run, c.ended, c.err = nil, time.Now(), err
		close(ended)
	})
	return ended
}

// result waits until ctx ends for the check's result, and returns "ok" or the
// reason why the dependency is not usable.
func (c *checker) result(ctx context.Context, o *Ops) string {
	if run := c.start(o); run != nil {
		select {
		case <-run:
		case <-ctx.Done():
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.run != nil && !c.ended.IsZero() && c.err == nil && time.Since(c.begun) < patience:
		return "ok" // a slow dependency must not make a working process look unready
	case c.run != nil && c.err != nil:
		return fmt.Sprintf("no response for %.1f s; before that: %v", time.Since(c.begun).Seconds(), c.err)
	case c.run != nil:
		return fmt.Sprintf("no response for %.1f s", time.Since(c.begun).Seconds())
	case c.err != nil:
		return c.err.Error()
	}
	return "ok"
}

// ready responds with a list of all dependencies, each with "ok" or its error.
func (o *Ops) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), probeWait)
	defer cancel()

	results := make([]string, len(o.checks))
	var wg sync.WaitGroup
	for i, check := range o.checks {
		wg.Go(func() { results[i] = check.result(ctx, o) })
	}
	wg.Wait()

	code := http.StatusOK
	response := map[string]string{}
	for i, check := range o.checks {
		response[check.Name] = results[i]
		if results[i] != "ok" {
			code = http.StatusServiceUnavailable
		}
	}
	switch {
	case o.draining.Load():
		response["process"] = "draining"
		code = http.StatusServiceUnavailable
	case !o.serving.Load():
		response["process"] = "starting"
		code = http.StatusServiceUnavailable
	}
	writeJSON(w, code, response)
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(v) // fails only if the peer has disconnected
}
