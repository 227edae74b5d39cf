//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/test/deployment"
)

// patience is the time within which a condition must show a problem.
const patience = 30 * time.Second

// awaitCondition waits until a condition has the status and the reason, and its message
// contains the text.
func (n *node) awaitCondition(t *testing.T, within time.Duration, condition, status, reason, text string) {
	t.Helper()
	took := eventually(t, within, func() error {
		c := meta.FindStatusCondition(n.get(t).Status.Conditions, condition)
		if c == nil || string(c.Status) != status || c.Reason != reason || !strings.Contains(c.Message, text) {
			return fmt.Errorf("%s is %+v, want %s because of %s with %q", condition, c, status, reason, text)
		}
		return nil
	})
	t.Logf("%s became %s because of %s after %.1f s", condition, status, reason, took.Seconds())
}

// TestBrokenImage checks that kubectl wait does not succeed for an image that does not
// exist, while farmers use the old pods.
func TestBrokenImage(t *testing.T) {
	t.Parallel()
	n := space(t)
	n.applySpec(t, busyNode)
	n.awaitReady(t, 2*time.Minute)
	n.awaitSettled(t)
	farmers, _ := startFarmers(t, n.url(t), deployment.NewAddress(t), 2)
	awaitHeartbeats(t, farmers, 5)
	n.patch(t, `{"spec": {"image": "localhost/no-such-image:1"}}`)
	if out, err := run("kubectl", "-n", n.namespace, "wait", "dn/"+n.name, "--for=condition=Ready", "--timeout=20s"); err == nil {
		t.Errorf("kubectl wait succeeded: %s", out)
	}
	n.awaitCondition(t, patience, v1.Stalled, "True", "ImagePullFailed", "localhost/no-such-image:1")
	n.awaitCondition(t, patience, v1.Available, "True", "FarmersCanFarm", "")
	n.patch(t, `{"spec": {"image": null}}`)
	n.awaitReady(t, 2*time.Minute)
	awaitHeartbeats(t, farmers, 5)
	if s := farmers.Snapshot(); s.Dropped > 0 || s.Rejected > 0 {
		t.Errorf("%+v", s)
	}
}

// TestPodsRefusedByALimitRange checks that a migration whose pods are refused is a problem
// with the words of the event.
func TestPodsRefusedByALimitRange(t *testing.T) {
	t.Parallel()
	n := space(t)
	n.apply(t, "apiVersion: v1\nkind: LimitRange\nmetadata: {name: large}\nspec: {limits: [{type: Container, min: {memory: 16Gi}}]}\n")
	n.applySpec(t, busyNode)
	n.awaitCondition(t, patience, v1.Degraded, "True", "PodsRefused", "minimum memory usage per Container is 16Gi")
	must(t, "kubectl", "-n", n.namespace, "delete", "limitrange", "large")
	n.awaitReady(t, 3*time.Minute)
}

// TestVolumeWithoutAClass checks that an evaluation whose volumes nobody provides says so,
// and starts no migration.
func TestVolumeWithoutAClass(t *testing.T) {
	t.Parallel()
	n := space(t)
	n.apply(t, `
apiVersion: downstream.driveshare.org/v1
kind: DownstreamNode
metadata: {name: `+n.name+`}
spec:
  mysql: {evaluation: {storage: {className: no-such-class}}}
  redis: {evaluation: {storage: {className: no-such-class}}}
`)
	n.awaitCondition(t, patience, v1.Degraded, "True", "PodUnschedulable", "PersistentVolumeClaim")
	n.awaitCondition(t, patience, v1.SchemaMigrated, "False", "MigrationWaiting", "MySQL")
	if out := must(t, "kubectl", "-n", n.namespace, "get", "jobs", "-o", "name"); strings.TrimSpace(out) != "" {
		t.Errorf("there are the Jobs %s", out)
	}
}
