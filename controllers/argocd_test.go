package controllers

import (
	"encoding/json"
	"os"
	"testing"

	lua "github.com/yuin/gopher-lua"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/driveshare/downstream-node/api/v1"
)

// TestArgoCDHealth runs the health script of config/argocd, as Argo CD does, on the
// statuses that the operator writes.
func TestArgoCDHealth(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../config/argocd/health.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var patch struct{ Data map[string]string }
	if err := yaml.UnmarshalStrict(text, &patch); err != nil {
		t.Fatal(err)
	}
	script := patch.Data["resource.customizations.health.downstream.driveshare.org_DownstreamNode"]
	lost := &blocked{ReasonSecretMissing, "the Secret is gone"}
	tests := []struct {
		name     string
		facts    []facts
		observed int64
		want     string
	}{
		{"not checked", nil, 0, "Progressing"},
		{"all is well", []facts{well}, 3, "Healthy"},
		{"edited since", []facts{well}, 2, "Progressing"},
		{"an older spec is stalled", []facts{changed(well, func(f *facts) { f.blocked = lost })}, 2, "Progressing"},
		{"migrating", []facts{changed(well, func(f *facts) { f.migration.phase = jobRunning })}, 3, "Progressing"},
		{"rolling", []facts{changed(well, func(f *facts) { f.api = rolling })}, 3, "Progressing"},
		{"a broken image", []facts{well, changed(well, func(f *facts) { f.workers = rolling; f.workers.trouble = troubled(ReasonImagePullFailed, "x") })}, 3, "Degraded"},
		{"blocked", []facts{changed(well, func(f *facts) { f.blocked = lost })}, 3, "Degraded"},
		{"every pod fails after the rollout", []facts{well, changed(well, func(f *facts) { f.api = down })}, 3, "Degraded"},
		{"paused", []facts{well, {paused: true, api: running, workers: running}}, 3, "Suspended"},
		{"hibernated", []facts{well, {hibernation: hibernated, api: none, workers: none}}, 3, "Suspended"},
		{"waking", []facts{{hibernation: waking, api: rolling, workers: rolling}}, 3, "Progressing"},
		{"paused and down", []facts{well, {paused: true, api: down, workers: running}}, 3, "Degraded"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			node := &v1.DownstreamNode{ObjectMeta: metav1.ObjectMeta{Generation: 3}}
			node.Status.ObservedGeneration = tt.observed
			for _, f := range tt.facts {
				setConditions(&node.Status.Conditions, f, tt.observed)
			}
			if got := argoHealth(t, script, node); got != tt.want {
				t.Errorf("the health is %s, want %s", got, tt.want)
			}
		})
	}
}

// argoHealth runs a health script on a node and returns the status.
func argoHealth(t *testing.T, script string, node *v1.DownstreamNode) string {
	t.Helper()
	text, err := json.Marshal(node)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	l := lua.NewState()
	defer l.Close()
	l.SetGlobal("obj", luaValue(l, object))
	if err := l.DoString(script); err != nil {
		t.Fatal(err)
	}
	health, ok := l.Get(-1).(*lua.LTable)
	if !ok || lua.LVAsString(health.RawGetString("message")) == "" {
		t.Fatalf("the script returned %v", l.Get(-1))
	}
	return lua.LVAsString(health.RawGetString("status"))
}

// luaValue converts a JSON value.
func luaValue(l *lua.LState, value any) lua.LValue {
	table := l.NewTable()
	switch value := value.(type) {
	case map[string]any:
		for k, v := range value {
			table.RawSetString(k, luaValue(l, v))
		}
		return table
	case []any:
		for _, v := range value {
			table.Append(luaValue(l, v))
		}
		return table
	case string:
		return lua.LString(value)
	case float64:
		return lua.LNumber(value)
	case bool:
		return lua.LBool(value)
	}
	return lua.LNil
}
