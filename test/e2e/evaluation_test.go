//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/test/deployment"
)

// TestEvaluation checks that one manifest on an empty cluster creates a node that
// farmers can use. It also checks that the records still exist after the database's
// pod is deleted.
//
// The last step hibernates the node, so that none of its pods is left.
func TestEvaluation(t *testing.T) {
	t.Parallel()
	n := space(t)
	n.applyEvaluation(t, "  contracts: {intervalSeconds: 4, tokensPerIP: 100}\n")
	took := n.awaitReady(t, 3*time.Minute)
	farmers, _ := startFarmers(t, n.url(t), deployment.NewAddress(t), 2)
	awaitHeartbeats(t, farmers, 10)
	before := farmers.Snapshot()

	must(t, "kubectl", "-n", n.namespace, "delete", "pod", n.name+"-mysql-0", n.name+"-redis-0")
	must(t, "kubectl", "-n", n.namespace, "rollout", "status", "statefulset/"+n.name+"-mysql", "--timeout=2m")
	awaitHeartbeats(t, farmers, 10)
	after := farmers.Snapshot()
	t.Logf("the node of one manifest was ready after %.1f s; %d heartbeats, and %d after both databases were restarted", took.Seconds(), before.Heartbeats, after.Heartbeats)

	slept := n.hibernate(t)
	if pods := n.allPods(t, client.MatchingLabels{"app.kubernetes.io/component": "mysql"}); len(pods) > 0 {
		t.Errorf("MySQL has %d pods", len(pods))
	}
	woke := n.wake(t)
	awaitHeartbeats(t, farmers, 10)
	end := farmers.Snapshot()
	t.Logf("all pods had ended after %.1f s of hibernation, and were ready %.1f s after its end; %d heartbeats", slept.Seconds(), woke.Seconds(), end.Heartbeats)
	if end.Rejected > 0 {
		t.Errorf("%+v", end)
	}
}

// applyEvaluation applies the sample with databases for evaluation, with more lines
// of its spec.
//
// It needs an image of MariaDB and an image of Redis that the cluster can
// pull, and a directory on this machine for the cluster's volumes. If hack/e2e
// starts the cluster, it provides all three. Without the images, the test is skipped.
func (n *node) applyEvaluation(t *testing.T, more string) {
	t.Helper()
	mariadb, redis, volumes := os.Getenv("E2E_MARIADB_IMAGE"), os.Getenv("E2E_REDIS_IMAGE"), os.Getenv("E2E_VOLUMES")
	if mariadb == "" || redis == "" {
		withoutImages(t)
	}
	n.name = "evaluation"
	if volumes != "" {
		n.makeVolumes(t, volumes, 2)
	}
	sample, err := os.ReadFile("../../config/samples/evaluation.yaml")
	if err != nil {
		t.Fatal(err)
	}
	n.apply(t, evaluationImages(string(sample), mariadb, redis)+more)
}

// withoutImages skips a test because there are no images of databases. hack/e2e makes them in CI, so
// there it is a failure.
func withoutImages(t *testing.T) {
	t.Helper()
	const why = "E2E_MARIADB_IMAGE and E2E_REDIS_IMAGE name no images"
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// evaluationImages names images in the sample, which the cluster has.
func evaluationImages(sample, mariadb, redis string) string {
	return strings.NewReplacer(
		"  mysql:\n    evaluation: {}", "  mysql:\n    evaluation: {image: "+mariadb+"}",
		"  redis:\n    evaluation: {}", "  redis:\n    evaluation: {image: "+redis+"}",
	).Replace(sample)
}

// hibernate ends all pods of the node. It returns how long that took.
func (n *node) hibernate(t *testing.T) time.Duration {
	t.Helper()
	start := time.Now()
	n.patch(t, `{"spec": {"hibernate": true}}`)
	must(t, "kubectl", "-n", n.namespace, "wait", "dn/"+n.name, "--for=condition=Hibernated", "--timeout=2m")
	eventually(t, time.Minute, func() error {
		for _, pod := range n.allPods(t, client.MatchingLabels{"app.kubernetes.io/instance": n.name}) {
			if pod.Status.Phase != corev1.PodSucceeded || pod.DeletionTimestamp != nil { // a Job's pod stays for its log
				return fmt.Errorf("the pod %s has not ended", pod.Name)
			}
		}
		return nil
	})
	return time.Since(start)
}

// wake starts the pods again. It returns how long that took.
func (n *node) wake(t *testing.T) time.Duration {
	t.Helper()
	start := time.Now()
	n.patch(t, `{"spec": {"hibernate": false}}`)
	n.awaitSettled(t)
	return time.Since(start)
}

// makeVolumes makes persistent volumes for the claims, because the cluster has no
// storage class.
func (n *node) makeVolumes(t *testing.T, folder string, count int) {
	t.Helper()
	for i := range count {
		name := fmt.Sprintf("%s-%d", n.namespace, i)
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(path, 0o777); err != nil {
			t.Fatal(err)
		}
		// The kubelet does not change the owner of a directory on the machine, so
		// every user must be able to write to the directory.
		if err := os.Chmod(path, 0o777|os.ModeSetgid); err != nil {
			t.Fatal(err)
		}
		n.apply(t, "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: "+name+"}\nspec:\n"+
			"  capacity: {storage: 1Gi}\n  accessModes: [ReadWriteOnce]\n  persistentVolumeReclaimPolicy: Retain\n"+
			"  hostPath: {path: "+path+"}\n")
		t.Cleanup(func() { must(t, "kubectl", "delete", "pv", name, "--wait=false") })
	}
}
