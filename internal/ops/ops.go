// Package ops serves the private HTTP port of every node process: liveness,
// readiness, metrics and, if enabled, profiles.
//
// The port is for operators and their tools. Farmers must not be able to reach
// it.
package ops

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/driveshare/downstream-node/internal/config"
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

// Check reports whether one dependency is usable now.
type Check struct {
	Name string
	Run  func(context.Context) error
}

// Ops holds the health state and metrics of one process.
type Ops struct {
	Registry *prometheus.Registry

	checks   []Check
	serving  atomic.Bool
	draining atomic.Bool
	profiles bool
}

// New makes an Ops and registers the metrics of the Go runtime and the process.
func New(profiles bool, checks ...Check) *Ops {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &Ops{Registry: reg, checks: checks, profiles: profiles}
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

// checkTimeout is the maximum duration of a readiness check. It is below one second,
// the kubelet's default timeout for a probe.
const checkTimeout = 800 * time.Millisecond

// ready responds with a list of all dependencies, each with "ok" or its error.
func (o *Ops) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
	defer cancel()

	results := make([]string, len(o.checks))
	var wg sync.WaitGroup
	for i, check := range o.checks {
		wg.Go(func() {
			results[i] = "ok"
			if err := check.Run(ctx); err != nil {
				results[i] = err.Error()
			}
		})
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
