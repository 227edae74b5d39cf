package app

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

// faultMetrics are the metrics of the node's faults. All processes export the same
// gauges. The process that records a fault counts it.
type faultMetrics struct {
	open           *prometheus.GaugeVec
	begun, seconds *prometheus.CounterVec
	cause          string // of the open fault; empty if none is open
}

func newFaultMetrics(reg prometheus.Registerer, known *knownTime, now func() time.Time) *faultMetrics {
	auto := promauto.With(reg)
	m := &faultMetrics{
		open: auto.NewGaugeVec(prometheus.GaugeOpts{
			Name: "downstream_fault_open",
			Help: "1 if a fault of the node with this cause is open, else 0.",
		}, []string{"cause"}),
		begun: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "downstream_faults_total",
			Help: "Faults of the node that this process recorded, by cause.",
		}, []string{"cause"}),
		seconds: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "downstream_fault_seconds_total",
			Help: "Length of the faults of the node whose end this process recorded, by cause.",
		}, []string{"cause"}),
	}
	auto.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "downstream_undecided_seconds",
		Help: "Time since the last moment up to which deadlines may count as missed. It grows while a fault of the node is open, and while this process cannot look for faults.",
	}, func() float64 { return known.age(now()).Seconds() })
	// A rate needs the series before the first fault.
	for _, cause := range []node.FaultCause{node.Down, node.Failing, node.Unreachable, node.Maintenance} {
		m.open.WithLabelValues(string(cause))
		m.begun.WithLabelValues(string(cause))
		m.seconds.WithLabelValues(string(cause))
	}
	return m
}

// update sets the metrics from a report.
func (m *faultMetrics) update(state store.FaultState) {
	cause := ""
	for _, f := range state.Unapplied {
		if f.End.IsZero() {
			cause = string(f.Cause)
		}
	}
	if m.cause != "" {
		m.open.WithLabelValues(m.cause).Set(0)
	}
	if cause != "" {
		m.open.WithLabelValues(cause).Set(1)
	}
	m.cause = cause
	if f := state.Changed; f != nil && f.End.IsZero() {
		m.begun.WithLabelValues(string(f.Cause)).Inc()
	} else if f != nil && !f.Discarded {
		m.seconds.WithLabelValues(string(f.Cause)).Add(f.End.Sub(f.Start).Seconds())
	}
}
