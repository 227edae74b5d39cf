package plugin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/internal/program"
)

func TestNodeStatus(t *testing.T) {
	t.Parallel()
	c := newTestCluster(t, proxyPaths, readyNode(), lease("elsewhere", "operator-1", time.Hour), lease("system", "operator-2", time.Second),
		workerPod("worker-1", corev1.ConditionFalse), workerPod("worker-2", corev1.ConditionTrue))
	var out strings.Builder
	if err := c.printStatus(t.Context(), &out, "farm", seenAt); err != nil {
		t.Fatal(err)
	}
	want := strings.TrimPrefix(`
storage/farm    ready
URL             http://farm-api.storage.svc
API             2 of 2 ready
Workers         3 of 4 ready
Backlog         7 jobs
Oldest waiting  1.3s
Farmers online  1 of 3
Operator        operator-2, in system
Heartbeat key   farm-heartbeat-key

CONDITION         STATUS  FOR  REASON     MESSAGE
Ready             True    3m   Available  farmers can farm
WorkersAvailable  True    3m   Available  3 of 4 workers are ready
SomebodyElses     True    3m   Because    it is not ours
`, "\n")
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestNodeStatusWithoutPods checks that the status shows a figure as unknown if no pod
// sends the figure. It must not show zero or fail.
func TestNodeStatusWithoutPods(t *testing.T) {
	t.Parallel()
	node := readyNode()
	node.Status.Backlog = nil
	for name, c := range map[string]*cluster{
		"silent pods": newTestCluster(t, nil, node, workerPod("worker-2", corev1.ConditionTrue)),
		"no pods":     newTestCluster(t, nil, node),
	} {
		var out strings.Builder
		if err := c.printStatus(t.Context(), &out, "farm", seenAt); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, line := range []string{"Backlog         unknown", "Oldest waiting  unknown (", "Farmers online  unknown ("} {
			if !strings.Contains(out.String(), line) {
				t.Errorf("%s: no %q in\n%s", name, line, &out)
			}
		}
	}
}

func TestNodeStatusExit(t *testing.T) {
	t.Parallel()
	edit := func(change func(*v1.DownstreamNode)) *v1.DownstreamNode {
		node := readyNode()
		change(node)
		return node
	}
	tests := map[string]struct {
		node *v1.DownstreamNode
		exit int
		says string
	}{
		"abandoned": {readyNode(), 0, "ready at the last check; no operator is running now\n"},
		"paused": {edit(func(n *v1.DownstreamNode) {
			n.Status.Conditions = append(n.Status.Conditions, condition(v1.Paused, metav1.ConditionTrue, "Paused", ""))
		}), 0, "ready, paused"},
		"not ready": {edit(func(n *v1.DownstreamNode) {
			n.Status.Conditions[2] = condition(v1.Ready, metav1.ConditionFalse, "KeyMissing", "the Secret is gone")
		}), 1, "not ready: KeyMissing"},
		"unknown": {edit(func(n *v1.DownstreamNode) {
			n.Status.Conditions[2] = condition(v1.Ready, metav1.ConditionUnknown, "Starting", "")
		}), 1, "not ready: Starting"},
		"edited": {edit(func(n *v1.DownstreamNode) { n.Generation = 4 }), 1, "edited, and no operator has checked it since"},
		"new":    {edit(func(n *v1.DownstreamNode) { n.Status = v1.DownstreamNodeStatus{} }), 1, "no operator has checked it yet"},
	}
	for name, tt := range tests {
		var out, stderr strings.Builder
		err := newTestCluster(t, nil, tt.node).printStatus(t.Context(), &out, "farm", seenAt)
		if got := program.ExitStatus(New(), err, &stderr); got != tt.exit || stderr.Len() > 0 {
			t.Errorf("%s: exit %d, stderr %q", name, got, &stderr)
		}
		if !strings.Contains(out.String(), tt.says) {
			t.Errorf("%s: no %q in\n%s", name, tt.says, &out)
		}
	}
}

func TestNodeFarmers(t *testing.T) {
	t.Parallel()
	c := newTestCluster(t, proxyPaths, readyNode())
	var out strings.Builder
	if err := c.printFarmers(t.Context(), &out, "farm", farmer.StatusQuery{}); err != nil {
		t.Fatal(err)
	}
	want := strings.TrimPrefix(`
ID  ADDRESS  ONLINE  STANDING  SCORE    UPTIME  HEARTBEATS  CONTRACTS  SIZE     COUNTRY  LAST DUE
a1  1A       true    good      ≥99.20%  99.50%  12          3          3.0 KiB  NL       2026-01-02T03:09:05Z
b2  1B       false   -         -        0.00%   0           0          0 B      -        -
c3  1C       false   -         ≥0.00%   0.00%   0           1          0 B      -        -
`, "\n")
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if err := c.printFarmers(t.Context(), &out, "farm", farmer.StatusQuery{Online: true, Sort: "size", Descending: true, Limit: 1}); err != nil {
		t.Error(err)
	}
	if err := newTestCluster(t, nil, readyNode()).printFarmers(t.Context(), &out, "farm", farmer.StatusQuery{}); err == nil || !strings.Contains(err.Error(), "through the API server's proxy") {
		t.Errorf("a node that does not respond: %v", err)
	}
}

// TestNodeFarmersSorts checks that the plugin offers the columns that the node got last.
func TestNodeFarmersSorts(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"since", "seen", "place"} {
		usage := newNodeFarmersCommand(nil).Flags().Lookup("sort").Usage
		if !slices.Contains(strings.FieldsFunc(usage, func(r rune) bool { return r == ' ' || r == ',' }), name) {
			t.Errorf("%q lacks %s", usage, name)
		}
	}
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	c := newTestCluster(t, nil, readyNode())
	for _, step := range []struct {
		paused bool
		says   string
	}{
		{true, "farm: paused\n"},
		{true, "farm: unchanged, it is already paused\n"},
		{false, "farm: resumed\n"},
		{false, "farm: unchanged, it is already resumed\n"},
	} {
		var out strings.Builder
		if err := c.setPaused(t.Context(), &out, "farm", step.paused); err != nil {
			t.Fatal(err)
		}
		node, err := c.node(t.Context(), "farm")
		if err != nil {
			t.Fatal(err)
		}
		if out.String() != step.says || node.Spec.Paused != step.paused {
			t.Errorf("want %t and %q, got %t and %q", step.paused, step.says, node.Spec.Paused, &out)
		}
	}
	if err := c.setPaused(t.Context(), &strings.Builder{}, "other", true); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("an unknown node: %v", err)
	}
}

func TestMaintenance(t *testing.T) {
	t.Parallel()
	node := readyNode()
	node.Spec.Contracts.IntervalSeconds = 300
	c := newTestCluster(t, nil, node)
	disks := &v1.MaintenanceSpec{Start: "2026-01-02T04:04:05Z", Duration: "2h0m0s", Reason: "disks"}
	for _, step := range []struct {
		maintenance *v1.MaintenanceSpec
		in          time.Duration
		says, warns string
	}{
		{disks, time.Hour, "farm: maintenance from 2026-01-02T04:04:05Z to 2026-01-02T06:04:05Z\n", ""},
		{&v1.MaintenanceSpec{Start: disks.Start, Duration: "30m"}, time.Minute, "farm: maintenance from 2026-01-02T04:04:05Z to 2026-01-02T04:34:05Z\n", "warning: --in is less than one interval (5m0s)"},
		{nil, 0, "farm: the maintenance is cancelled\n", ""},
		{nil, 0, "farm: unchanged, spec.maintenance is not set\n", ""},
	} {
		var out, errs strings.Builder
		if err := c.setMaintenance(t.Context(), &out, &errs, "farm", step.maintenance, step.in); err != nil {
			t.Fatal(err)
		}
		node, err := c.node(t.Context(), "farm")
		if err != nil {
			t.Fatal(err)
		}
		if out.String() != step.says || !reflect.DeepEqual(node.Spec.Maintenance, step.maintenance) {
			t.Errorf("want %+v and %q, got %+v and %q", step.maintenance, step.says, node.Spec.Maintenance, &out)
		}
		if !strings.HasPrefix(errs.String(), step.warns) || step.warns == "" && errs.String() != "" {
			t.Errorf("the warning is %q, want %q", &errs, step.warns)
		}
	}
	hibernating := readyNode()
	hibernating.Spec.Hibernate = true
	var errs strings.Builder
	if err := newTestCluster(t, nil, hibernating).setMaintenance(t.Context(), io.Discard, &errs, "farm", disks, time.Hour); err != nil || !strings.HasPrefix(errs.String(), "warning: farm hibernates") {
		t.Errorf("a node that hibernates: %v, warns %q", err, &errs)
	}
	if err := c.setMaintenance(t.Context(), io.Discard, io.Discard, "other", disks, 0); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("an unknown node: %v", err)
	}
}

func TestMaintenanceFlags(t *testing.T) {
	t.Parallel()
	for flags, want := range map[string]string{
		"":                     "at least one of the flags in the group [for cancel] is required",
		"--cancel --for 1h":    "if any flags in the group [for cancel] are set none of the others can be",
		"--in -1h --for 1h":    "--in must not be negative",
		"--for 169h":           "--for must be at least 1s and at most 168h0m0s",
		"--for 1ms":            "--for must be at least 1s",
		"--in tomorrow":        "must be a duration",
		"--cancel --in 1h":     "if any flags in the group [in cancel] are set",
		"--cancel --reason ab": "if any flags in the group [reason cancel] are set",
	} {
		cmd := New()
		cmd.SetArgs(append([]string{"maintenance", "farm"}, strings.Fields(flags)...))
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", flags, err, want)
		}
	}
}

// lease returns an operator's lease that was renewed age ago.
func lease(namespace, holder string, age time.Duration) client.Object {
	seconds, renewed := int32(15), metav1.NewMicroTime(seenAt.Add(-age))
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: operatorLease, Namespace: namespace},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds, RenewTime: &renewed},
	}
}

func TestOperatorStatus(t *testing.T) {
	t.Parallel()
	for says, objects := range map[string][]client.Object{
		"led by operator-1":                    {lease("storage", "operator-1", 3*time.Second)},
		"operator-1 renewed its lease 60s ago": {lease("storage", "operator-1", time.Minute)},
		"has released its lease":               {lease("storage", "", time.Second)},
		"has ever led":                         nil,
	} {
		var out strings.Builder
		err := newTestCluster(t, nil, objects...).printOperator(t.Context(), &out, seenAt)
		text := out.String()
		if err != nil {
			text += err.Error()
		}
		if !strings.Contains(text, says) || (err == nil) != strings.HasPrefix(says, "led by") {
			t.Errorf("want %q, got %q", says, text)
		}
	}
}

func TestApplyNode(t *testing.T) {
	t.Parallel()
	c := newTestCluster(t, nil)
	manifest := "apiVersion: downstream.driveshare.org/v1\nkind: DownstreamNode\nmetadata: {name: farm}\nspec: {mysql: {evaluation: {}}, redis: {evaluation: {}}, paused: %s}\n"
	for _, paused := range []string{"true", "false"} {
		if err := c.applyNode(t.Context(), io.Discard, fmt.Appendf(nil, manifest, paused)); err != nil {
			t.Fatal(err)
		}
		node, err := c.node(t.Context(), "farm")
		if err != nil || fmt.Sprint(node.Spec.Paused) != paused {
			t.Errorf("paused is %t, %v", node.Spec.Paused, err)
		}
	}
	for manifest, says := range map[string]string{
		"kind: Secret\napiVersion: v1\n": ", not downstream.driveshare.org/v1, Kind=DownstreamNode",
		"kind: Secret\nkind: Secret\n":   "read the manifest",
	} {
		if err := c.applyNode(t.Context(), io.Discard, []byte(manifest)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q, got %v", says, err)
		}
	}
}

// TestWaitFor runs on a fake clock.
func TestWaitFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			wait  time.Duration
			after int // tries that fail
			tries int
			ok    bool
		}{{0, 0, 1, true}, {0, 1, 1, false}, {10 * time.Second, 3, 4, true}, {10 * time.Second, 99, 5, false}} {
			tries := 0
			err := waitFor(t.Context(), tt.wait, func(context.Context) error {
				if tries++; tries <= tt.after {
					return errNotReady
				}
				return nil
			})
			if tries != tt.tries || (err == nil) != tt.ok {
				t.Errorf("%+v: %d tries, %v", tt, tries, err)
			}
		}
	})
}

func TestPluginNames(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{"farm": "farm", "dn/farm": "farm", "downstreamnode.downstream.driveshare.org/farm": "farm"} {
		if got := nodeName(arg); got != want {
			t.Errorf("%s: %s", arg, got)
		}
	}
	if help := New().UsageString(); !strings.Contains(help, "kubectl downstream [command]") {
		t.Error(help)
	}
}

// TestCompletion requests completions as a shell's script does.
func TestCompletion(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	root := New()
	root.SetOut(&out)
	root.SetArgs(strings.Split("__completeNoDesc farmers downstream --sort ", " "))
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	want := []string{"id", "address", "uptime", "heartbeats", "contracts", "size", "online", "score", "since", "seen", "place"}
	if got := strings.Fields(out.String()); len(got) != len(want)+1 || !slices.Equal(got[:len(want)], want) {
		t.Errorf("offers %v, want %v", got, want)
	}
}

func TestNodeNames(t *testing.T) {
	t.Parallel()
	elsewhere := &v1.DownstreamNode{ObjectMeta: metav1.ObjectMeta{Name: "other", Namespace: "elsewhere"}}
	c := newTestCluster(t, nil, readyNode(), elsewhere)
	if names := c.nodeNames(t.Context()); len(names) != 1 || names[0] != "farm" {
		t.Errorf("offers %v, want farm, the only one in its namespace", names)
	}
}

// TestFlagsAreDescribed checks that the help names the value of each flag by one
// word. pflag uses a text in backquotes as that name.
func TestFlagsAreDescribed(t *testing.T) {
	t.Parallel()
	described := 0
	var look func(*cobra.Command)
	look = func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			described++
			if value, usage := pflag.UnquoteUsage(f); strings.Contains(value, " ") || usage == "" {
				t.Errorf("%s --%s %s: %q", cmd.CommandPath(), f.Name, value, usage)
			}
		})
		for _, sub := range cmd.Commands() {
			look(sub)
		}
	}
	look(New())
	if described < 5 {
		t.Errorf("only %d flags were checked", described)
	}
}
