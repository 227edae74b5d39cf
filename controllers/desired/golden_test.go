package desired

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/driveshare/downstream-node/api/v1"
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
			Keys:      []Key{{File: []byte(`{"type":"Swizzle"}`)}},
			MySQL:     map[string][]byte{"dsn": []byte("user:password@tcp(mysql:3306)/downstream"), "readDSN": []byte("user:password@tcp(replica:3306)/downstream"), "username": []byte("user"), "password": []byte("password")},
			Redis:     map[string][]byte{"url": []byte("redis://redis:6379/0"), "password": []byte("password"), "sentinelPassword": []byte("password")},
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
		"heartbeat-key":          n.HeartbeatKeySecret(n.Rotation(), []byte(`{"type":"Swizzle"}`), strings.Repeat("0f", 32)),
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
	add(n.Spec.Monitoring.PodMonitor.Enabled, "monitoring-podmonitor", func() any { return n.PodMonitor() })
	add(n.Spec.Whitelist != nil, "whitelist-config", func() any { return n.ConfigMap(Whitelist) })
	add(n.Spec.Whitelist != nil, "whitelist-job", func() any { return n.WhitelistJob() })
	add(n.Spec.Maintenance != nil, "maintenance-config", func() any { return n.ConfigMap(Maintenance) })
	add(n.Spec.Maintenance != nil, "maintenance-job", func() any { return n.MaintenanceJob() })
	add(n.Spec.Backup != nil, "backup-config", func() any { return n.ConfigMap(Backup) })
	add(n.Spec.Backup != nil, "backup-cronjob", func() any { return n.BackupCronJob() })
	add(n.Spec.Backup != nil, "backup-claim", func() any { return n.BackupClaim() })
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
apiVersion: downstream.driveshare.org/v1
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
      ipFamilyPolicy: PreferDualStack
      ipFamilies: [IPv6, IPv4]
    rateLimits: {perToken: {rate: 5, burst: 10}}
    drainDelaySeconds: 0
  heartbeat: {type: Merkle, keySecretRef: {name: own-key, key: key.json}, detection: {lost: "0.01", withinSeconds: 76800, probability: "0.99"}}
  inventory: {redundancy: 3}
  geoip: {configMapRef: {name: geo}}
  mysql: {dsnSecretRef: {name: db, key: source}, readDSNSecretRef: {name: replica}}
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
  score: {halfLifeHours: 240, minOnline: '0.95', minCorrect: '0.999'}
  page: {name: The farm, contact: operator@example.org, announcement: New disks on Sunday}
  monitoring: {podMonitor: {enabled: true, labels: {release: prometheus}, intervalSeconds: 15}}
  log: {level: debug}
`

// connections names the parts of both connections one by one.
const connections = `
apiVersion: downstream.driveshare.org/v1
kind: DownstreamNode
metadata: {name: connections}
spec:
  mysql:
    connection:
      hosts: [galera-0.galera, "fd00::1"]
      port: 3307
      database: farm
      usernameSecretRef: {name: app}
      passwordSecretRef: {name: app, key: pass}
      caSecretRef: {name: galera-ca}
      clientCertificateSecretRef: {name: app-tls}
  redis:
    connection:
      hosts: [sentinel-0.sentinel, sentinel-1.sentinel]
      masterName: mymaster
      database: 3
      username: farm
      passwordSecretRef: {name: redis, key: redis-password}
      tls: true
      sentinelPasswordSecretRef: {name: redis, key: sentinel-password}
  whitelist: {configMapRef: {name: list}}
`

// backups has backups of an evaluation database, and a pod template for their Jobs.
const backups = `
apiVersion: downstream.driveshare.org/v1
kind: DownstreamNode
metadata: {name: backups}
spec:
  mysql: {evaluation: {storage: {size: 5Gi}}}
  redis: {evaluation: {}}
  backup:
    schedule: "30 2 * * *"
    recipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]
    keep: 14
    storage: {size: 20Gi, className: fast}
  jobs:
    podTemplate: {spec: {priorityClassName: low, containers: [{name: job, env: [{name: TZ, value: UTC}]}]}}
`

// rotated is a node whose key was replaced twice. The second key is retired, and its Secret is
// deleted.
func rotated(t *testing.T) *Node {
	t.Helper()
	n := node(t, overrides)
	n.Spec.Heartbeat.Rotation = 2
	n.Spec.Heartbeat.Compromised = []v1.Fingerprint{"0123456789ab"}
	n.Inputs.Keys = []Key{{2, []byte("third")}, {0, []byte("first")}}
	return n
}

// goldens returns what each golden file shows, by the path of the file.
func goldens(t *testing.T) map[string]any {
	t.Helper()
	files := map[string]any{}
	add := func(name string, n *Node, only ...string) {
		for object, built := range everything(n) {
			if len(only) == 0 || slices.Contains(only, object) {
				files[filepath.Join("testdata", name, object+".yaml")] = built
			}
		}
	}
	add("minimal", sample(t, "minimal"))
	add("production", sample(t, "production"))
	add("evaluation", sample(t, "evaluation"))
	add("overrides", node(t, overrides))
	add("templates", node(t, templates), "api-deployment", "migration-job")
	add("connections", node(t, connections), "api-config", "migration-config", "migration-job", "whitelist-job", "workers-config", "workers-deployment")
	add("backups", node(t, backups), "backup-config", "backup-cronjob", "backup-claim", "jobs-networkpolicy", "mysql-networkpolicy", "redis-networkpolicy", "migration-config")
	add("rotated", rotated(t), "api-config", "api-deployment", "heartbeat-key", "migration-config", "migration-job", "workers-config")
	return files
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for path, built := range goldens(t) {
		t.Run(strings.TrimSuffix(path, ".yaml"), func(t *testing.T) {
			t.Parallel()
			golden(t, path, built)
		})
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
	wanted := goldens(t)
	files, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if wanted[file] == nil {
			t.Errorf("%s belongs to no builder", file)
		}
	}
}
