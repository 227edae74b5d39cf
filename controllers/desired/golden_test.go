package desired

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/driveshare/downstream-node/controllers/internal/controlplane"
)

var update = flag.Bool("update", false, "write the golden files again")

// sample returns the node of a file in config/samples.
func sample(t *testing.T, name string) *Node {
	t.Helper()
	text, err := os.ReadFile(controlplane.Path("config/samples", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return node(t, string(text))
}

func node(t *testing.T, manifest string) *Node {
	t.Helper()
	dn, err := controlplane.ReadNode([]byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	dn.Namespace = "farm"
	dn.UID = "5ca1ab1e-0000-4000-8000-000000000000"
	return &Node{
		DownstreamNode: dn,
		DefaultImage:   "example.org/downstream-node:v1.0.0",
		Inputs: Inputs{
			Key:       []byte(`{"type":"Swizzle"}`),
			DSN:       []byte("user:password@tcp(mysql:3306)/downstream"),
			RedisURL:  []byte("redis://redis:6379/0"),
			Whitelist: []byte("address,crowdsale_balance\n"),
		},
	}
}

// everything returns the result of each builder that applies to a node, by the
// name of its golden file.
func everything(n *Node) map[string]any {
	two := int32(2)
	objects := map[string]any{
		"api-config":             n.ConfigMap(API),
		"api-deployment":         n.APIDeployment(&two),
		"api-disruptionbudget":   n.DisruptionBudget(API),
		"api-networkpolicy":      n.NetworkPolicy(API),
		"api-service":            n.Service(),
		"heartbeat-key":          n.HeartbeatKeySecret([]byte(`{"type":"Swizzle"}`), strings.Repeat("0f", 32)),
		"jobs-networkpolicy":     n.NetworkPolicy(Jobs),
		"migration-config":       n.ConfigMap(Migration),
		"migration-job":          n.MigrationJob(),
		"workers-config":         n.ConfigMap(Workers),
		"workers-deployment":     n.WorkersDeployment(3),
		"workers-networkpolicy":  n.NetworkPolicy(Workers),
		"monitoring-service":     n.MetricsService(),
		"monitoring-monitor":     n.ServiceMonitor(),
		"workers-disruptbudget":  n.DisruptionBudget(Workers),
		"api-deployment-unsized": n.APIDeployment(nil),
	}
	add := func(when bool, name string, build func() any) {
		if when {
			objects[name] = build()
		}
	}
	api := n.Spec.API
	add(api.Ingress != nil, "api-ingress", func() any { return n.Ingress() })
	add(api.Gateway != nil, "api-httproute", func() any { return n.HTTPRoute() })
	add(api.Autoscaling != nil, "api-autoscaler", func() any { return n.APIAutoscaler() })
	add(n.Spec.Whitelist != nil, "whitelist-config", func() any { return n.ConfigMap(Whitelist) })
	add(n.Spec.Whitelist != nil, "whitelist-job", func() any { return n.WhitelistJob() })
	add(n.Spec.Maintenance != nil, "maintenance-config", func() any { return n.ConfigMap(Maintenance) })
	add(n.Spec.Maintenance != nil, "maintenance-job", func() any { return n.MaintenanceJob() })
	mysql, redis := n.Spec.MySQL.Evaluation != nil, n.Spec.Redis.Evaluation != nil
	add(mysql, "mysql-secret", func() any { return n.MySQLEvaluationSecret("password", "root") })
	add(mysql, "mysql-statefulset", func() any { return n.MySQLStatefulSet() })
	add(mysql, "mysql-service", func() any { return n.EvaluationService(MySQL) })
	add(mysql, "mysql-networkpolicy", func() any { return n.NetworkPolicy(MySQL) })
	add(redis, "redis-secret", func() any { return n.RedisEvaluationSecret("password") })
	add(redis, "redis-statefulset", func() any { return n.RedisStatefulSet() })
	add(redis, "redis-service", func() any { return n.EvaluationService(Redis) })
	add(redis, "redis-networkpolicy", func() any { return n.NetworkPolicy(Redis) })
	return objects
}

// overrides sets the fields that the samples do not set.
const overrides = `
apiVersion: downstream.driveshare.org/v1alpha1
kind: DownstreamNode
metadata: {name: overrides}
spec:
  image: registry.example.org/downstream-node:v2.0.0
  imagePullPolicy: Always
  imagePullSecrets: [{name: registry}]
  api:
    autoscaling: {max: 9}
    gateway:
      parentRefs: [{name: public, namespace: gateways, sectionName: https}, {name: other}]
      hostnames: [farm.example.org]
    service:
      type: LoadBalancer
      port: 8080
      annotations: {example.org/balancer: fast}
      loadBalancerClass: example.org/fast
      externalTrafficPolicy: Local
    rateLimits: {perToken: {rate: 5, burst: 10}}
    drainDelaySeconds: 0
  heartbeat: {type: Merkle, keySecretRef: {name: own-key, key: key.json}}
  geoip: {configMapRef: {name: geo}}
  mysql: {dsnSecretRef: {name: db, key: source}}
  redis: {urlSecretRef: {name: db, key: cache}, maxQueue: 50}
  pods:
    labels: {team: storage}
    annotations: {example.org/note: hello}
    nodeSelector: {disk: ssd}
    tolerations: [{key: farm, operator: Exists, effect: NoSchedule}]
    priorityClassName: high
    affinity:
      nodeAffinity:
        requiredDuringSchedulingIgnoredDuringExecution:
          nodeSelectorTerms: [{matchExpressions: [{key: disk, operator: In, values: [ssd]}]}]
    topologySpreadConstraints: [{maxSkew: 2, topologyKey: rack, whenUnsatisfiable: DoNotSchedule}]
  maintenance: {start: "2026-03-14T09:00:00Z", duration: 2h, reason: "new disks for $(NODE)"}
  log: {level: debug}
`

func TestGolden(t *testing.T) {
	t.Parallel()
	nodes := map[string]*Node{
		"minimal":    sample(t, "minimal"),
		"production": sample(t, "production"),
		"evaluation": sample(t, "evaluation"),
		"overrides":  node(t, overrides),
	}
	for name, n := range nodes {
		for object, built := range everything(n) {
			t.Run(name+"/"+object, func(t *testing.T) {
				t.Parallel()
				golden(t, filepath.Join("testdata", name, object+".yaml"), built)
			})
		}
	}
}

func golden(t *testing.T, path string, built any) {
	t.Helper()
	got, err := yaml.Marshal(built)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; write it with go test -update", err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs from the built object; run go test -update and see git diff:\n%s", path, got)
	}
}

// TestEveryGoldenHasABuilder fails if a golden file belongs to no builder.
func TestEveryGoldenHasABuilder(t *testing.T) {
	t.Parallel()
	wanted := map[string]bool{}
	for name, n := range map[string]*Node{"minimal": sample(t, "minimal"), "production": sample(t, "production"), "evaluation": sample(t, "evaluation"), "overrides": node(t, overrides)} {
		for object := range everything(n) {
			wanted[filepath.Join("testdata", name, object+".yaml")] = true
		}
	}
	files, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !wanted[file] {
			t.Errorf("%s belongs to no builder", file)
		}
	}
}
