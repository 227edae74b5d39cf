package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestChartHasEveryRole checks that config/rbac has every role that the chart's
// templates name. Otherwise the role would have no rules, and Helm would report no
// error.
func TestChartHasEveryRole(t *testing.T) {
	t.Parallel()
	rules, err := ruleTemplates()
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []string{"operator", "leader-election", "metrics-auth", "metrics-reader", "node-viewer", "node-editor", "node-admin"} {
		if !bytes.Contains(rules, []byte(`"downstream-node.rules.`+role+`"`)) {
			t.Errorf("config/rbac has no role %s", role)
		}
	}
}

func TestRefusedCRDs(t *testing.T) {
	t.Parallel()
	for want, crd := range map[string]string{
		"Helm would evaluate": "metadata:\n  annotations:\n    a: '{{ b }}'\n",
		"annotations":         "metadata:\n  name: x\n",
	} {
		if _, err := wrapCRD([]byte(crd)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
