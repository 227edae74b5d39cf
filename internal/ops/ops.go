// Package ops is the private HTTP port that every process of the node has:
// liveness, readiness, metrics and, where asked for, profiles.
//
// It is for operators and their machines only, and never to be put where
// farmers can reach it.
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
)

// Check says whether one dependency can be used now.
type Check struct {
	Name string
	Run  func(context.Context) error
}

// Ops answers for one process.
type Ops struct {
	Registry *prometheus.Registry

	checks   []Check
	serving  atomic.Bool
	draining atomic.Bool
	profiles bool
}

// New makes an Ops with the process's own metrics registered.
func New(profiles bool, checks ...Check) *Ops {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &Ops{Registry: reg, checks: checks, profiles: profiles}
}

// Serve lets readiness turn on: the process has joined its node and does its
// work. Until then load balancers should send nothing to it.
func (o *Ops) Serve() { o.serving.Store(true) }

// Drain turns readiness off for good: the process is about to stop, and load
// balancers should send no more to it.
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

// checkTimeout is how long a dependency may take to answer: well under the
// second that a kubelet gives a probe by default.
const checkTimeout = 800 * time.Millisecond

// ready names every dependency with "ok" or what is wrong with it.
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
	answer := map[string]string{}
	for i, check := range o.checks {
		answer[check.Name] = results[i]
		if results[i] != "ok" {
			code = http.StatusServiceUnavailable
		}
	}
	switch {
	case o.draining.Load():
		answer["process"] = "draining"
		code = http.StatusServiceUnavailable
	case !o.serving.Load():
		answer["process"] = "starting"
		code = http.StatusServiceUnavailable
	}
	writeJSON(w, code, answer)
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(v) // a peer that went away needs no answer
}
