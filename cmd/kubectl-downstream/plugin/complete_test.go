package plugin

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/driveshare/downstream-node/api/v1alpha1"
)

// TestCompletion asks as the shells' scripts do.
func TestCompletion(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	root := New()
	root.SetOut(&out)
	root.SetArgs(strings.Split("__completeNoDesc farmers downstream --sort ", " "))
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	want := []string{"id", "address", "uptime", "heartbeats", "contracts", "size", "online"}
	if got := strings.Fields(out.String()); len(got) != len(want)+1 || !slices.Equal(got[:len(want)], want) {
		t.Errorf("offers %v, want %v", got, want)
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
