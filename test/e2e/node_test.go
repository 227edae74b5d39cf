//go:build e2e

package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
)

// node is a DownstreamNode with its own namespace and database.
type node struct {
	namespace string
	name      string
	records   *sql.DB
}

// space makes the namespace, the database, and the Secret that holds the DSN of the
// database.
func space(t *testing.T) *node {
	t.Helper()
	id := strings.ToLower(strings.TrimPrefix(t.Name(), "Test"))
	id = fmt.Sprintf("e2e-%.20s-%d", id, time.Now().Unix()%100000)
	n := &node{namespace: id, name: "downstream"}
	if err := makeNamespace(n.namespace); err != nil {
		t.Fatal(err)
	}
	config, err := mysql.ParseDSN(mysqlDSN)
	if err != nil {
		t.Fatal(err)
	}
	server, err := sql.Open("mysql", mysqlDSN)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	config.DBName = strings.ReplaceAll(id, "-", "_")
	if _, err := server.Exec("CREATE DATABASE " + config.DBName + " CHARACTER SET utf8mb4"); err != nil {
		t.Fatal(err)
	}
	if n.records, err = sql.Open("mysql", config.FormatDSN()); err != nil {
		t.Fatal(err)
	}
	must(t, "kubectl", "-n", n.namespace, "create", "secret", "generic", "downstream-backends",
		"--from-literal=dsn="+config.FormatDSN(), "--from-literal=url="+redisURL)
	t.Cleanup(func() {
		if t.Failed() {
			n.explain(t)
		}
		_, _ = run("kubectl", "delete", "namespace", n.namespace, "--wait=false") // what remains is deleted with the cluster
		_, _ = n.records.Exec("DROP DATABASE " + config.DBName)
		_ = n.records.Close()
	})
	return n
}

// explain logs the state of a node whose test failed.
func (n *node) explain(t *testing.T) {
	for _, args := range [][]string{
		{"get", "dn,deployments,jobs,pods", "-o", "wide"},
		{"get", "events", "--sort-by=.lastTimestamp"},
		{"get", "dn", n.name, "-o", "jsonpath={.status}"},
		{"logs", "-l", "app.kubernetes.io/instance=" + n.name, "--tail=20", "--prefix", "--all-containers"},
	} {
		out, err := run("kubectl", append([]string{"-n", n.namespace}, args...)...)
		t.Logf("kubectl %s\n%s%v", strings.Join(args, " "), out, err)
	}
}

// apply applies a manifest.
func (n *node) apply(t *testing.T, manifest string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "manifest.yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "kubectl", "-n", n.namespace, "apply", "-f", file)
}

// applySpec applies a DownstreamNode with the given spec, and its databases.
func (n *node) applySpec(t *testing.T, spec string) {
	t.Helper()
	n.apply(t, n.manifest("v1", spec))
}

// manifest returns a DownstreamNode of a version of the API. Its workers ask for less processor than by
// default, so that the nodes of several tests fit on a small machine.
func (n *node) manifest(version, spec string) string {
	spec = strings.ReplaceAll(spec, "  workers: {replicas: 2}", "  workers: {replicas: 2, resources: {requests: {cpu: 50m, memory: 256Mi}, limits: {memory: 1Gi}}}")
	return `
apiVersion: downstream.driveshare.org/` + version + `
kind: DownstreamNode
metadata: {name: ` + n.name + `}
spec:
  mysql: {dsnSecretRef: {name: downstream-backends}}
  redis: {urlSecretRef: {name: downstream-backends}}
` + spec
}

// field returns a field of an object, named by its JSON path.
func (n *node) field(t *testing.T, object, path string) string {
	t.Helper()
	return must(t, "kubectl", "-n", n.namespace, "get", object, "-o", "jsonpath={"+path+"}")
}

func (n *node) patch(t *testing.T, patch string) {
	t.Helper()
	must(t, "kubectl", "-n", n.namespace, "patch", "dn", n.name, "--type=merge", "-p", patch)
}

func (n *node) get(t *testing.T) *v1.DownstreamNode {
	t.Helper()
	object := &v1.DownstreamNode{}
	if err := api.Get(context.Background(), client.ObjectKey{Namespace: n.namespace, Name: n.name}, object); err != nil {
		t.Fatal(err)
	}
	return object
}

// awaitReady waits until farmers can use the node. It returns how long that took.
func (n *node) awaitReady(t *testing.T, patience time.Duration) time.Duration {
	t.Helper()
	start := time.Now()
	must(t, "kubectl", "-n", n.namespace, "wait", "dn/"+n.name, "--for=condition=Ready", "--timeout="+patience.String())
	return time.Since(start)
}

// awaitSettled waits until the operator has applied all changes of the current
// spec.
func (n *node) awaitSettled(t *testing.T) {
	t.Helper()
	eventually(t, 3*time.Minute, func() error {
		object := n.get(t)
		s := object.Status
		switch {
		case s.ObservedGeneration != object.Generation:
			return fmt.Errorf("the operator has seen generation %d of %d", s.ObservedGeneration, object.Generation)
		case !meta.IsStatusConditionTrue(s.Conditions, v1.Ready):
			return fmt.Errorf("not ready: %+v", s.Conditions)
		case !meta.IsStatusConditionFalse(s.Conditions, v1.Progressing):
			return fmt.Errorf("still progressing")
		case s.Workers.ReadyReplicas != s.Workers.DesiredReplicas:
			return fmt.Errorf("%d of %d workers are ready", s.Workers.ReadyReplicas, s.Workers.DesiredReplicas)
		}
		for _, pod := range n.allPods(t, client.MatchingLabels{"app.kubernetes.io/instance": n.name}) {
			if pod.DeletionTimestamp != nil {
				return fmt.Errorf("pod %s is still stopping", pod.Name)
			}
		}
		return nil
	})
}

// pods returns the pods of a role that are not being deleted.
func (n *node) pods(t *testing.T, role string) []corev1.Pod {
	t.Helper()
	var alive []corev1.Pod
	for _, pod := range n.allPods(t, client.MatchingLabels{"app.kubernetes.io/instance": n.name, "app.kubernetes.io/component": role}) {
		if pod.DeletionTimestamp == nil {
			alive = append(alive, pod)
		}
	}
	return alive
}

func (n *node) allPods(t *testing.T, labels client.MatchingLabels) []corev1.Pod {
	t.Helper()
	list := &corev1.PodList{}
	if err := api.List(context.Background(), list, client.InNamespace(n.namespace), labels); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// url returns the URL of the Service inside the cluster's network.
func (n *node) url(t *testing.T) string {
	t.Helper()
	service := &corev1.Service{}
	if err := api.Get(context.Background(), client.ObjectKey{Namespace: n.namespace, Name: n.name + "-api"}, service); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("http://%s:%d", service.Spec.ClusterIP, service.Spec.Ports[0].Port)
}

// number returns the result of a query on the records.
func (n *node) number(t *testing.T, query string, args ...any) int64 {
	t.Helper()
	var number int64
	if err := n.records.QueryRow(query, args...).Scan(&number); err != nil {
		t.Fatal(err)
	}
	return number
}
