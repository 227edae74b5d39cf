package app

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

func TestFaultMetrics(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_800_000_000, 0)
	open := node.Fault{ID: 1, Start: start, Cause: node.Down}
	ended := open
	ended.End = start.Add(90 * time.Second)

	registry := prometheus.NewRegistry()
	var known knownTime
	m := newFaultMetrics(registry, &known, func() time.Time { return start.Add(time.Minute) })
	steps := []struct {
		name                            string
		known                           time.Time
		state                           store.FaultState
		open, begun, seconds, undecided float64
	}{
		{"before the first report", time.Time{}, store.FaultState{}, 0, 0, 0, 0},
		{"no fault", start.Add(56 * time.Second), store.FaultState{}, 0, 0, 0, 4},
		{"this process records a fault", start, store.FaultState{Changed: &open, Unapplied: []node.Fault{open}}, 1, 1, 0, 60},
		{"the fault lasts", start, store.FaultState{Unapplied: []node.Fault{open}}, 1, 1, 0, 60},
		{"this process records its end", start, store.FaultState{Changed: &ended, Unapplied: []node.Fault{ended}}, 0, 1, 90, 60},
		{"its effect is complete", start.Add(time.Minute), store.FaultState{}, 0, 1, 90, 0},
		{"another process records a fault", start, store.FaultState{Unapplied: []node.Fault{ended, open}}, 1, 1, 90, 60},
		{"another process records its end", start, store.FaultState{}, 0, 1, 90, 60},
	}
	for _, s := range steps {
		known.set(s.known)
		m.update(s.state)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, family := range families {
			metric := family.Metric[0]
			got[family.GetName()] = metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
		}
		for name, want := range map[string]float64{
			"downstream_fault_open": s.open, "downstream_faults_total": s.begun,
			"downstream_fault_seconds_total": s.seconds, "downstream_undecided_seconds": s.undecided,
		} {
			if value, ok := got[name]; !ok || value != want {
				t.Errorf("%s: %s is %v, want %v", s.name, name, value, want)
			}
		}
	}
}
