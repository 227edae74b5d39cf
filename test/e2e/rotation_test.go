//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/test/deployment"
)

// TestKeyRotation checks that farmers do not notice when the key of their contracts is
// replaced.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	checkUnharmed(t, rotateKey(t, busyNode), "a rotation of the Swizzle key")
}

// TestMerkleKeyRotation checks the same for Merkle, whose contracts need the old key until
// they complete.
func TestMerkleKeyRotation(t *testing.T) {
	t.Parallel()
	spec := strings.Replace(busyNode, "totalSize: 4Mi", "totalSize: 64Ki", 1) + "  heartbeat: {type: Merkle, challenges: 4}\n"
	s := rotateKey(t, spec).Snapshot()
	t.Logf("a rotation of the Merkle key: %d heartbeats, %d requests failed, %d proofs refused, %d contracts completed", s.Heartbeats, s.Retries, s.Rejected, s.Dropped)
	if s.Retries > 0 || s.Rejected > 0 {
		t.Errorf("the rotation cost the farmers requests or proofs: %+v", s)
	}
}

// rotateKey replaces the key of a node under load, waits until the old key is retired, and
// deletes its Secret. It returns the farmers.
func rotateKey(t *testing.T, spec string) farmer.Group {
	t.Helper()
	n := space(t)
	n.applySpec(t, spec+"  workers: {replicas: 2}\n")
	n.awaitReady(t, 2*time.Minute)
	n.awaitSettled(t)
	farmers, _ := startFarmers(t, n.url(t), deployment.NewAddress(t), 5)
	awaitHeartbeats(t, farmers, 20)

	t.Log(n.plugin(t, "key", "rotate", n.name))
	retired := eventually(t, 6*time.Minute, func() error {
		keys := n.get(t).Status.HeartbeatKeys
		if len(keys) != 2 || keys[0].State != "active" || keys[1].State != v1.KeyRetired {
			return fmt.Errorf("the keys are %+v", keys)
		}
		return nil
	})
	n.awaitSettled(t)
	awaitHeartbeats(t, farmers, 20)

	old := n.get(t).Status.HeartbeatKeys[1].SecretName
	must(t, "kubectl", "-n", n.namespace, "delete", "secret", old)
	eventually(t, 2*time.Minute, func() error {
		for _, role := range []string{"api", "workers"} {
			for _, pod := range n.pods(t, role) {
				if slices.Contains(secretsOf(pod.Spec.Volumes), old) {
					return fmt.Errorf("pod %s has the Secret %s", pod.Name, old)
				}
			}
		}
		return nil
	})
	n.awaitSettled(t)
	awaitHeartbeats(t, farmers, 20)
	t.Logf("the old key was retired %.0f s after the command", retired.Seconds())
	if wrong := n.number(t, "SELECT SUM(wrong) FROM tokens"); wrong != 0 {
		t.Errorf("%d proofs were judged wrong", wrong)
	}
	return farmers
}

// secretsOf returns the names of the Secrets in projected volumes.
func secretsOf(volumes []corev1.Volume) (names []string) {
	for _, volume := range volumes {
		if volume.Projected == nil {
			continue
		}
		for _, source := range volume.Projected.Sources {
			if source.Secret != nil {
				names = append(names, source.Secret.Name)
			}
		}
	}
	return names
}
