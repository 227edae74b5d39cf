package plugin

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/driveshare/downstream-node/api/v1"
)

var firstPrint, secondPrint = strings.Repeat("0f", 32), strings.Repeat("1e", 32)

// rotatedNode is a node whose key was replaced once. state is the state of the old key.
func rotatedNode(state string) *v1.DownstreamNode {
	node := readyNode()
	node.Spec.Heartbeat.Rotation = 1
	node.Status.HeartbeatKeys = []v1.RotatedKeyStatus{
		{Rotation: 1, HeartbeatKeyStatus: v1.HeartbeatKeyStatus{SecretName: "farm-heartbeat-key-2", Fingerprint: secondPrint}},
		{HeartbeatKeyStatus: v1.HeartbeatKeyStatus{SecretName: "farm-heartbeat-key", Fingerprint: firstPrint}, State: state, Contracts: new(int64(120))},
	}
	return node
}

func TestKeyList(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := newTestCluster(t, nil, rotatedNode("retiring")).printKeys(t.Context(), &out, "farm"); err != nil {
		t.Fatal(err)
	}
	want := strings.TrimPrefix(`
ROTATION  FINGERPRINT   STATE     CONTRACTS LEFT  SECRET
1         1e1e1e1e1e1e  unknown   -               farm-heartbeat-key-2
0         0f0f0f0f0f0f  retiring  120             farm-heartbeat-key
`, "\n")
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if err := newTestCluster(t, nil, readyNode()).printKeys(t.Context(), &out, "farm"); err == nil || !strings.Contains(err.Error(), "has no heartbeat keys yet") {
		t.Errorf("a node without keys: %v", err)
	}
}

func TestKeyRotate(t *testing.T) {
	t.Parallel()
	lowered, paused, hibernating, both := rotatedNode("retiring"), rotatedNode("retiring"), rotatedNode("retiring"), rotatedNode("retiring")
	lowered.Spec.Heartbeat.Rotation = 0
	paused.Spec.Paused, hibernating.Spec.Hibernate = true, true
	both.Spec.Paused, both.Spec.Hibernate = true, true
	for name, tt := range map[string]struct {
		node        *v1.DownstreamNode
		compromised bool
		rotation    int32
		marked      []v1.Fingerprint
		says, warns string
	}{
		"the first time":  {readyNode(), false, 1, nil, "farm: the operator makes a new heartbeat key in the Secret farm-heartbeat-key-2,", ""},
		"again":           {rotatedNode("retiring"), false, 2, nil, "in the Secret farm-heartbeat-key-3,", ""},
		"a lowered spec":  {lowered, false, 2, nil, "in the Secret farm-heartbeat-key-3,", ""},
		"compromised":     {rotatedNode("retiring"), true, 2, []v1.Fingerprint{v1.Fingerprint(secondPrint), v1.Fingerprint(firstPrint)}, "The node completes early those contracts of the keys in spec.heartbeat.compromised", ""},
		"one retired key": {rotatedNode("retired"), true, 2, []v1.Fingerprint{v1.Fingerprint(secondPrint)}, "The node completes early those contracts of the keys in spec.heartbeat.compromised", ""},
		"paused":          {paused, false, 2, nil, "Back up this Secret.", "warning: farm is paused, so this takes effect after `kubectl downstream resume farm`\n"},
		"hibernating":     {hibernating, false, 2, nil, "Back up this Secret.", "warning: farm hibernates, so this takes effect when its spec.hibernate is false again\n"},
		"both":            {both, false, 2, nil, "Back up this Secret.", "warning: farm is paused and hibernates, so this takes effect after `kubectl downstream resume farm`, when its spec.hibernate is false again\n"},
	} {
		c := newTestCluster(t, nil, tt.node)
		var out, errs strings.Builder
		if err := c.rotateKey(t.Context(), &out, &errs, "farm", tt.compromised); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		node, err := c.node(t.Context(), "farm")
		if err != nil {
			t.Fatal(err)
		}
		if h := node.Spec.Heartbeat; h.Rotation != tt.rotation || !slices.Equal(h.Compromised, tt.marked) {
			t.Errorf("%s: the spec has %+v", name, h)
		}
		if !strings.Contains(out.String(), tt.says) || !strings.HasPrefix(errs.String(), tt.warns) || tt.warns == "" && errs.Len() > 0 {
			t.Errorf("%s: says %q and %q", name, &out, &errs)
		}
	}
	if err := newTestCluster(t, nil, readyNode()).rotateKey(t.Context(), io.Discard, io.Discard, "farm", true); err == nil || !strings.Contains(err.Error(), "none can be compromised") {
		t.Errorf("a compromised key that nobody knows: %v", err)
	}
}

// TestKeyRotateAtTheSameTime runs the command between the read and the patch of another one.
func TestKeyRotateAtTheSameTime(t *testing.T) {
	t.Parallel()
	c := newTestCluster(t, nil, rotatedNode("retiring"))
	first := *c
	first.Client = interceptor.NewClient(c.Client.(client.WithWatch), interceptor.Funcs{
		Patch: func(ctx context.Context, inner client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
			if err := c.rotateKey(ctx, io.Discard, io.Discard, "farm", false); err != nil {
				t.Error(err)
			}
			return inner.Patch(ctx, object, patch, options...)
		},
	})
	if err := first.rotateKey(t.Context(), io.Discard, io.Discard, "farm", false); err == nil || !strings.Contains(err.Error(), "its key was not replaced") {
		t.Errorf("the slower command: %v", err)
	}
	node, err := c.node(t.Context(), "farm")
	if err != nil || node.Spec.Heartbeat.Rotation != 2 {
		t.Errorf("the rotation is %d, %v", node.Spec.Heartbeat.Rotation, err)
	}
}
