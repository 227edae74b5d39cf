package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFresh holds that the chart in the tree is of the config in the tree.
func TestFresh(t *testing.T) {
	t.Parallel()
	const root = "../.."
	crd, err := os.ReadFile(filepath.Join(root, "config/crd/bases/downstream.driveshare.org_downstreamnodes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	definition, err := crdTemplate(crd)
	if err != nil {
		t.Fatal(err)
	}
	roles, err := filepath.Glob(filepath.Join(root, "config/rbac/*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := ruleTemplates(roles)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{"crd.yaml": definition, "_rules.tpl": rules} {
		got, err := os.ReadFile(filepath.Join(root, "charts/downstream-node/templates", name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("the chart's %s is stale (%v): run make generate", name, err)
		}
	}
	// The templates of the chart name these; one that is missing would leave a
	// role without rules, and Helm would not say so before it is installed.
	for _, role := range []string{"operator", "leader-election", "metrics-auth", "metrics-reader", "node-viewer", "node-editor", "node-admin"} {
		if !bytes.Contains(rules, []byte(`"downstream-node.rules.`+role+`"`)) {
			t.Errorf("config/rbac has no role %s", role)
		}
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	for says, crd := range map[string]string{
		"Helm would take": "metadata:\n  annotations:\n    a: '{{ b }}'\n",
		"no annotations":  "metadata:\n  name: x\n",
	} {
		if _, err := crdTemplate([]byte(crd)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q, got %v", says, err)
		}
	}
}
