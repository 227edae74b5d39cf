package cli

import (
	"bytes"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/driveshare/downstream-node/api/v1alpha1"
)

// TestCompletion asks as the shells' scripts do.
func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		line string
		want []string
	}{
		{"heartbeat new --type ", []string{"Merkle", "Swizzle"}},
		{"kubectl farmers downstream --sort ", []string{"id", "address", "uptime", "heartbeats", "contracts", "size", "online"}},
		{"stan", []string{"standalone"}},
		{"--config ", []string{"yaml", "yml"}},
	} {
		var out bytes.Buffer
		root := newRootCommand()
		root.SetOut(&out)
		root.SetArgs(append([]string{"__completeNoDesc"}, strings.Split(test.line, " ")...))
		if err := root.Execute(); err != nil {
			t.Fatalf("%s: %v", test.line, err)
		}
		got := strings.Fields(out.String())
		if len(got) != len(test.want)+1 || strings.Join(got[:len(test.want)], " ") != strings.Join(test.want, " ") {
			t.Errorf("%s: offers %v, want %v", test.line, got, test.want)
		}
	}
}

func TestNodeNames(t *testing.T) {
	t.Parallel()
	elsewhere := &v1alpha1.DownstreamNode{ObjectMeta: metav1.ObjectMeta{Name: "other", Namespace: "elsewhere"}}
	c := newTestCluster(t, nil, readyNode(), elsewhere)
	if names := c.nodeNames(t.Context()); len(names) != 1 || names[0] != "farm" {
		t.Errorf("offers %v, want farm, the one of its namespace", names)
	}
}

// TestUsageErrorsPointToHelp holds that whoever mistypes is told where to look.
func TestUsageErrorsPointToHelp(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"standalone --dmo 3", "standalone --demo x", "farm", "chunks generate", "heartbeat new --typ Merkle"} {
		root := newRootCommand()
		root.SetArgs(strings.Fields(line))
		if err := root.Execute(); err == nil || !strings.Contains(err.Error(), "--help") {
			t.Errorf("%s: %v", line, err)
		}
	}
}
