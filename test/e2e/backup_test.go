//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/test/deployment"
)

// restoreLimit is the time in which a node must be restored.
const restoreLimit = 10 * time.Minute

// evaluationNode has backups that the test starts itself. The farmers' contracts fit into
// the inventory, so that they take none between the backup and the end of the namespace.
const evaluationNode = `
apiVersion: downstream.driveshare.org/v1
kind: DownstreamNode
metadata: {name: evaluation}
spec:
  api: {replicas: 1}
  access: {signatures: false}
  contracts: {intervalSeconds: 30, tokensPerIP: 100, contractsPerRequest: 100, unprovenPerToken: 0, unprovenBytesPerToken: '0', inventoryShare: '0'}
  inventory: {minChunkSize: 1Ki, maxChunkSize: 4Ki, totalSize: 4Mi}
  mysql: {evaluation: {image: "MARIADB"}}
  redis: {evaluation: {image: "REDIS"}}
  backup: {schedule: "0 0 1 1 *", recipients: [RECIPIENT], keep: 3}
`

// frontDoor is a URL that stays the same when the node moves.
type frontDoor struct {
	*httptest.Server
	target atomic.Pointer[url.URL]
}

func newFrontDoor(t *testing.T) *frontDoor {
	t.Helper()
	d := &frontDoor{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(d.target.Load()) }}
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	d.Server = httptest.NewServer(proxy)
	t.Cleanup(d.Close)
	return d
}

// leadToService leads to the Service of a node, and reports whether it exists.
func (d *frontDoor) leadToService(n *node) bool {
	service := &corev1.Service{}
	if api.Get(context.Background(), client.ObjectKey{Namespace: n.namespace, Name: n.name + "-api"}, service) != nil {
		return false
	}
	d.target.Store(&url.URL{Scheme: "http", Host: service.Spec.ClusterIP})
	return true
}

// TestBackupAndRestore deletes the namespace of a node with all its volumes' claims, and
// restores the node from a backup in another namespace. The farmers must continue with
// their contracts. TestEvaluation says what the test needs.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	mariadb, redis, volumes := os.Getenv("E2E_MARIADB_IMAGE"), os.Getenv("E2E_REDIS_IMAGE"), os.Getenv("E2E_VOLUMES")
	if mariadb == "" || redis == "" {
		withoutImages(t)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	identity := filepath.Join(t.TempDir(), "key.txt")
	if err := os.WriteFile(identity, []byte(id.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n := space(t)
	n.name = "evaluation"
	if volumes != "" {
		n.makeVolumes(t, volumes, 3)
	}
	n.apply(t, strings.NewReplacer("MARIADB", mariadb, "REDIS", redis, "RECIPIENT", id.Recipient().String()).Replace(evaluationNode))
	n.awaitReady(t, 3*time.Minute)
	door := newFrontDoor(t)
	if !door.leadToService(n) {
		t.Fatal("the node has no Service")
	}
	farmers, _ := startFarmers(t, door.URL, deployment.NewAddress(t), 3)
	awaitHeartbeats(t, farmers, 10)
	eventually(t, time.Minute, func() error { // the farmers are full
		before := farmers.Snapshot().Taken
		time.Sleep(5 * time.Second)
		if taken := farmers.Snapshot().Taken - before; taken > 0 {
			return fmt.Errorf("%d more contracts taken", taken)
		}
		return nil
	})

	must(t, "kubectl", "-n", n.namespace, "create", "job", "--from=cronjob/evaluation-backup", "backup-now")
	must(t, "kubectl", "-n", n.namespace, "wait", "job/backup-now", "--for=condition=Complete", "--timeout=3m")
	eventually(t, time.Minute, func() error {
		if b := n.get(t).Status.Backup; b == nil || b.LastSuccess == nil {
			return fmt.Errorf("status.backup is %+v", b)
		}
		return nil
	})
	dir := t.TempDir()
	file := strings.TrimSpace(n.plugin(t, "backup", "fetch", n.name, "--to", dir))
	t.Log(n.plugin(t, "verify", n.name))
	awaitHeartbeats(t, farmers, 10) // which the backup does not have
	before := farmers.Snapshot()
	must(t, "kubectl", "delete", "namespace", n.namespace, "--wait", "--timeout=3m")

	next := &node{namespace: n.namespace + "-new", name: n.name}
	if err := makeNamespace(next.namespace); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			next.explain(t)
		}
		_, _ = run("kubectl", "delete", "namespace", next.namespace, "--wait=false")
	})
	if volumes != "" {
		next.makeVolumes(t, volumes, 3)
	}
	start := time.Now()
	moved := make(chan struct{})
	go func() { // as DNS or an Ingress would do: farmers reach the new node when it starts
		defer close(moved)
		for time.Since(start) < restoreLimit && !door.leadToService(next) {
			time.Sleep(time.Second)
		}
	}()
	t.Log(next.plugin(t, "restore", next.name, "--from", file, "--identity", identity))
	took := time.Since(start)
	<-moved
	awaitHeartbeats(t, farmers, 20)
	t.Log(next.plugin(t, "verify", next.name))
	after := farmers.Snapshot()
	t.Logf("restored in %.0f s; %d contracts before, %d after; dropped %d, rejected %d, new %d", took.Seconds(),
		before.Contracts, after.Contracts, after.Dropped-before.Dropped, after.Rejected-before.Rejected, after.Taken-before.Taken)
	if took > restoreLimit {
		t.Errorf("the restore took %v, at most %v is allowed", took, restoreLimit)
	}
	if after.Dropped > before.Dropped || after.Rejected > before.Rejected || after.Contracts < before.Contracts {
		t.Errorf("the restore cost the farmers contracts: before %+v, after %+v", before, after)
	}
}
