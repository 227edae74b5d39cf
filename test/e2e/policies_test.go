//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestNetworkPolicies checks who can connect to the pods of a node with evaluation databases, and
// to the operator. The names of the Services are resolved, so DNS works too. That the node
// becomes ready shows that its pods reach the databases, and the backlog in its
// status shows that the operator reaches Redis.
func TestNetworkPolicies(t *testing.T) {
	t.Parallel()
	if os.Getenv("E2E_NETWORK_POLICIES") == "" {
		t.Skip("E2E_NETWORK_POLICIES does not say that the cluster enforces network policies")
	}
	n := space(t)
	prometheus, stranger := n.namespace+"-prom", n.namespace+"-else"
	for _, namespace := range []string{prometheus, stranger} {
		if err := makeNamespace(namespace); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = run("kubectl", "delete", "namespace", namespace, "--wait=false") })
	}
	n.applyEvaluation(t, "  networkPolicy: {metricsNamespaces: ["+prometheus+"]}\n")
	n.awaitReady(t, 3*time.Minute)
	awaitService(t, n.url(t)) // farmers from outside the cluster's network
	eventually(t, time.Minute, func() error {
		if n.get(t).Status.Backlog == nil {
			return errors.New("the operator has not read the backlog from Redis")
		}
		return nil
	})

	operators := &corev1.PodList{}
	if err := api.List(context.Background(), operators, client.InNamespace(operatorNamespace), client.MatchingLabels{"app.kubernetes.io/component": "operator"}); err != nil || len(operators.Items) == 0 {
		t.Fatalf("found %d pods of the operator; %v", len(operators.Items), err)
	}
	on := func(pods []corev1.Pod, port string) string { return net.JoinHostPort(pods[0].Status.PodIP, port) }
	targets := []struct {
		name, address string
		open          []string // the namespaces whose pods may connect
	}{
		{"API", on(n.pods(t, "api"), "5000"), []string{n.namespace, prometheus, stranger}},
		{"API by its name", fmt.Sprintf("%s-api.%s.svc.cluster.local:80", n.name, n.namespace), []string{n.namespace, prometheus, stranger}},
		{"API's metrics", on(n.pods(t, "api"), "9090"), []string{prometheus}},
		{"workers' metrics", on(n.pods(t, "workers"), "9090"), []string{prometheus}},
		{"MySQL", on(n.pods(t, "mysql"), "3306"), nil},
		{"MySQL by its name", fmt.Sprintf("%s-mysql.%s.svc.cluster.local:3306", n.name, n.namespace), nil},
		{"Redis", on(n.pods(t, "redis"), "6379"), nil},
		{"operator's metrics", on(operators.Items, "8443"), []string{n.namespace, prometheus, stranger}},
		{"operator's health", on(operators.Items, "8081"), nil},
	}
	var addresses []string
	for _, target := range targets {
		addresses = append(addresses, target.address)
	}
	namespaces := []string{n.namespace, prometheus, stranger}
	for _, namespace := range namespaces {
		startProbe(t, namespace, addresses)
	}
	for _, namespace := range namespaces {
		var want []string
		for _, target := range targets {
			state := "closed"
			if slices.Contains(target.open, namespace) {
				state = "open"
			}
			want = append(want, state)
		}
		took := eventually(t, time.Minute, func() error {
			out, err := run("kubectl", "-n", namespace, "logs", "probe", "--tail=3")
			if err != nil {
				return err
			}
			lines := strings.Split(strings.TrimSpace(out), "\n")
			if len(lines) < 3 {
				return fmt.Errorf("only %d probes from %s", len(lines), namespace)
			}
			for _, line := range lines {
				for i, state := range strings.Fields(line) {
					if state != want[i] {
						return fmt.Errorf("from %s, the %s is %s, want %s", namespace, targets[i].name, state, want[i])
					}
				}
			}
			return nil
		})
		t.Logf("from %s, all %d connections were as they should be after %.1f s", namespace, len(targets), took.Seconds())
	}
}

// startProbe runs the program of ./probe in a pod.
func startProbe(t *testing.T, namespace string, addresses []string) {
	t.Helper()
	image := os.Getenv("E2E_PROBE_IMAGE")
	if image == "" {
		t.Fatal("E2E_PROBE_IMAGE is not set; run the tests with hack/e2e")
	}
	n := node{namespace: namespace}
	n.apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: probe}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: probe
    image: %s
    command: [/probe]
    args: ["%s"]
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`, image, strings.Join(addresses, `", "`)))
}
