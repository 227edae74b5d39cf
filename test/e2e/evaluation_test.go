//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/test/deployment"
)

// TestEvaluation checks that one manifest on an empty cluster creates a node that
// farmers can use. It also checks that the records still exist after the database's
// pod is deleted.
//
// The test needs an image of MariaDB and an image of Redis that the cluster can
// pull, and a directory on this machine for the cluster's volumes. If hack/e2e
// starts the cluster, it provides all three.
func TestEvaluation(t *testing.T) {
	mariadb, redis, volumes := os.Getenv("E2E_MARIADB_IMAGE"), os.Getenv("E2E_REDIS_IMAGE"), os.Getenv("E2E_VOLUMES")
	if mariadb == "" || redis == "" {
		t.Skip("E2E_MARIADB_IMAGE and E2E_REDIS_IMAGE name no images")
	}
	n := space(t)
	n.name = "evaluation"
	if volumes != "" {
		n.makeVolumes(t, volumes)
	}
	sample, err := os.ReadFile("../../config/samples/evaluation.yaml")
	if err != nil {
		t.Fatal(err)
	}
	manifest := strings.NewReplacer(
		"  mysql:\n    evaluation: {}", "  mysql:\n    evaluation: {image: "+mariadb+"}",
		"  redis:\n    evaluation: {}", "  redis:\n    evaluation: {image: "+redis+"}",
	).Replace(string(sample)) + "  contracts: {intervalSeconds: 4, tokensPerIP: 100}\n"
	n.apply(t, manifest)
	took := n.awaitReady(t, 3*time.Minute)
	farmers, _ := startFarmers(t, n.url(t), deployment.NewAddress(t), 2)
	awaitHeartbeats(t, farmers, 10)
	before := farmers.Snapshot()

	must(t, "kubectl", "-n", n.namespace, "delete", "pod", n.name+"-mysql-0", n.name+"-redis-0")
	must(t, "kubectl", "-n", n.namespace, "rollout", "status", "statefulset/"+n.name+"-mysql", "--timeout=2m")
	awaitHeartbeats(t, farmers, 10)
	after := farmers.Snapshot()
	t.Logf("the node of one manifest was ready after %.1f s; %d heartbeats, and %d after both databases were restarted", took.Seconds(), before.Heartbeats, after.Heartbeats)
	if after.Rejected > 0 {
		t.Errorf("%+v", after)
	}
}

// makeVolumes makes persistent volumes for the claims, because the cluster has no
// storage class.
func (n *node) makeVolumes(t *testing.T, folder string) {
	t.Helper()
	for i := range 2 {
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
