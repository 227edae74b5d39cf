package controllers_test

import (
	"maps"
	"slices"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// series returns the names of the metrics of the farm's node.
func (f *farm) series() []string {
	f.t.Helper()
	families, err := metrics.Registry.Gather()
	f.ok(err)
	names := map[string]bool{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "namespace" && label.GetValue() == f.namespace {
					names[family.GetName()] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func TestMetricsAreDeletedWithTheNode(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.settle()
	want := []string{"downstream_operator_node_backlog", "downstream_operator_node_condition", "downstream_operator_node_workers_desired"}
	f.finish(f.jobOf("migration"), true)
	f.settle()
	if got := f.series(); !slices.Equal(got, want) {
		t.Errorf("there are %v, want %v", got, want)
	}
	f.deleteNode()
	f.ok(f.reconcile())
	if got := f.series(); len(got) > 0 {
		t.Errorf("a deleted node has the metrics %v", got)
	}
}
