package controllers_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/driveshare/downstream-node/controllers/internal/controlplane"
)

// minimal is the smallest valid manifest.
const minimal = `
apiVersion: downstream.driveshare.org/v1
kind: DownstreamNode
metadata: {name: node}
spec:
  mysql: {dsnSecretRef: {name: backends}}
  redis: {urlSecretRef: {name: backends}}
`

// parse reads a manifest and merges spec into its spec.
func parse(t *testing.T, manifest, spec string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(manifest), &u.Object); err != nil {
		t.Fatal(err)
	}
	var over map[string]any
	if err := yaml.Unmarshal([]byte(spec), &over); err != nil {
		t.Fatal(err)
	}
	merge(u.Object["spec"].(map[string]any), over)
	return u
}

// merge copies the values of over into base. A null in over deletes the key.
func merge(base, over map[string]any) {
	for k, v := range over {
		below, isMap := v.(map[string]any)
		existing, wasMap := base[k].(map[string]any)
		switch {
		case v == nil:
			delete(base, k)
		case isMap && wasMap:
			merge(existing, below)
		default:
			base[k] = v
		}
	}
}

func TestCRDRefusesBadResources(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	tests := []struct{ name, spec, want string }{
		{"no database", "mysql: {dsnSecretRef: null}", "set exactly one of mysql.dsnSecretRef"},
		{"two databases", "mysql: {evaluation: {}}", "set exactly one of mysql.dsnSecretRef"},
		{"a data source name and hosts", "mysql: {connection: {hosts: [a], database: d, username: u}}", "set exactly one of mysql.dsnSecretRef"},
		{"no user of MySQL", "mysql: {dsnSecretRef: null, connection: {hosts: [a], database: d}}", "set exactly one of mysql.connection.username and"},
		{"two users of MySQL", "mysql: {dsnSecretRef: null, connection: {hosts: [a], database: d, username: u, usernameSecretRef: {name: s}}}", "set exactly one of mysql.connection.username and"},
		{"no host of MySQL", "mysql: {dsnSecretRef: null, connection: {hosts: [], database: d, username: u}}", "spec.mysql.connection.hosts"},
		{"a host with a port", "mysql: {dsnSecretRef: null, connection: {hosts: ['a:3306'], database: d, username: u}}", "without a port; set the port in the field port"},
		{"several hosts in one text", "mysql: {dsnSecretRef: null, connection: {hosts: ['a,b'], database: d, username: u}}", "must be a host name such as"},
		{"no database", "mysql: {dsnSecretRef: null, connection: {hosts: [a], username: u}}", "spec.mysql.connection.database: Required"},
		{"a URL and hosts", "redis: {connection: {hosts: [a]}}", "set exactly one of redis.urlSecretRef"},
		{"Sentinels of a Cluster", "redis: {urlSecretRef: null, connection: {hosts: [a], masterName: m, cluster: true}}", "redis.connection.masterName is for Sentinels"},
		{"several Redis of no kind", "redis: {urlSecretRef: null, connection: {hosts: [a, b]}}", "Sentinels, which need masterName, or nodes of a Cluster"},
		{"a database of a Cluster", "redis: {urlSecretRef: null, connection: {hosts: [a], cluster: true, database: 1}}", "redis.connection.database must be 0"},
		{"a password for no Sentinels", "redis: {urlSecretRef: null, connection: {hosts: [a], sentinelPasswordSecretRef: {name: s}}}", "need redis.connection.masterName"},
		{"a user of Redis without a password", "redis: {urlSecretRef: null, connection: {hosts: [a], username: u}}", "a user of Redis needs redis.connection.passwordSecretRef"},
		{"two users of Redis", "redis: {urlSecretRef: null, connection: {hosts: [a], username: u, usernameSecretRef: {name: s}, passwordSecretRef: {name: s}}}", "not both"},
		{"a user of the Sentinels without a password", "redis: {urlSecretRef: null, connection: {hosts: [a], masterName: m, sentinelUsername: u}}", "a user of the Sentinels needs"},
		{"no Redis", "redis: {urlSecretRef: null}", "set exactly one of redis.urlSecretRef"},
		{"two Redis", "redis: {evaluation: {}}", "set exactly one of redis.urlSecretRef"},
		{"ingress and gateway", "api: {ingress: {host: a.example.org}, gateway: {parentRefs: [{name: g}]}}", "set api.ingress or api.gateway, not both"},
		{"a host with a scheme", "api: {ingress: {host: 'https://a.example.org'}}", "spec.api.ingress.host"},
		{"a proxy without a prefix", "api: {trustedProxies: [10.0.0.1]}", "write a single address as 10.0.0.1/32"},
		{"negative API replicas", "api: {replicas: -1}", "should be greater than or equal to 0"},
		{"API autoscaling with a minimum above the maximum", "api: {autoscaling: {min: 5, max: 4}}", "api.autoscaling.min must not be more than"},
		{"API autoscaling without a maximum", "api: {autoscaling: {}}", "spec.api.autoscaling.max: Required"},
		{"a load balancer's class on a ClusterIP", "api: {service: {loadBalancerClass: x}}", "is for type LoadBalancer"},
		{"a traffic policy on a ClusterIP", "api: {service: {externalTrafficPolicy: Local}}", "is for types LoadBalancer and NodePort"},
		{"an unknown IP family", "api: {service: {ipFamilies: [IPv5]}}", "spec.api.service.ipFamilies[0]"},
		{"an IP family twice", "api: {service: {ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv4, IPv4]}}", "must not name a family twice"},
		{"two IP families of a single stack", "api: {service: {ipFamilies: [IPv4, IPv6]}}", "need api.service.ipFamilyPolicy"},
		{"two monitors", "monitoring: {serviceMonitor: {enabled: true}, podMonitor: {enabled: true}}", "enable monitoring.serviceMonitor or monitoring.podMonitor, not both"},
		{"a monitor's label with a bad name", "monitoring: {podMonitor: {labels: {'a b': x}}}", "the keys of a monitor's labels must be"},
		{"worker autoscaling with a minimum above the maximum", "workers: {autoscaling: {min: 5, max: 4}}", "workers.autoscaling.min must not be more than"},
		{"too many workers", "workers: {replicas: 1001}", "should be less than or equal to 1000"},
		{"an unknown scheme", "heartbeat: {type: Sizzle}", `supported values: "Swizzle", "Merkle"`},
		{"a fraction above 1", "heartbeat: {checkFraction: '1.5'}", "heartbeat.checkFraction must be from 0 to 1"},
		{"a fraction below 0", "heartbeat: {checkFraction: '-0.5'}", "spec.heartbeat.checkFraction"},
		{"a fraction and a detection", "heartbeat: {checkFraction: '0.02', detection: {lost: '0.01', withinSeconds: 60, probability: '0.99'}}", "set heartbeat.checkFraction or heartbeat.detection, not both"},
		{"a detection of nothing", "heartbeat: {detection: {lost: '0', withinSeconds: 60, probability: '0.99'}}", "heartbeat.detection.lost must be above 0"},
		{"a certain detection", "heartbeat: {detection: {lost: '1', withinSeconds: 60, probability: '1.0'}}", "heartbeat.detection.probability must be above 0 and below 1"},
		{"a detection after the end of a Merkle contract", "heartbeat: {type: Merkle, detection: {lost: '1', withinSeconds: 77100, probability: '0.9'}}", "withinSeconds is longer than a Merkle contract"},
		{"a negative rotation", "heartbeat: {rotation: -1}", "spec.heartbeat.rotation"},
		{"a short fingerprint", "heartbeat: {compromised: ['0123456789a']}", "spec.heartbeat.compromised[0]"},
		{"a fingerprint in capitals", "heartbeat: {compromised: ['0123456789AB']}", "spec.heartbeat.compromised[0]"},
		{"a fingerprint twice", "heartbeat: {compromised: ['0123456789ab', '0123456789ab']}", "Duplicate value"},
		{"a detection without a time", "heartbeat: {detection: {lost: '1', probability: '0.9'}}", "spec.heartbeat.detection.withinSeconds: Required"},
		{"no bytes for an address", "contracts: {bytesPerAddress: '0'}", "contracts.bytesPerAddress must be from 1 to 1Pi"},
		{"a needed share above 1", "score: {minOnline: '1.1'}", "score.minOnline must be a number from 0 to 1"},
		{"a share above 1", "contracts: {inventoryShare: '1.1'}", "contracts.inventoryShare must be from 0 to 1"},
		{"a huge limit of unproven bytes", "contracts: {unprovenBytesPerToken: 2Pi}", "contracts.unprovenBytesPerToken must be at most 1Pi"},
		{"a prefix longer than an address", "contracts: {ipv6Prefix: 129}", "spec.contracts.ipv6Prefix"},
		{"an interval of 0", "contracts: {intervalSeconds: 0}", "spec.contracts.intervalSeconds"},
		{"a tiny chunk", "inventory: {minChunkSize: '31'}", "inventory.minChunkSize must be at least 32"},
		{"a minimum chunk size above the maximum", "inventory: {minChunkSize: 2Mi, maxChunkSize: 1Mi}", "inventory.minChunkSize must not be more than"},
		{"an inventory without room for a chunk", "inventory: {totalSize: 16Mi}", "inventory.totalSize must be 0 or at least inventory.maxChunkSize"},
		{"an unknown unit", "inventory: {totalSize: 1GB}", "such as '1024', 1G or 32Mi"},
		{"a size below zero", "contracts: {bytesPerAddress: '-1'}", "such as '1024', 1G or 32Mi"},
		{"a size in words", "inventory: {totalSize: lots}", "such as '1024', 1G or 32Mi"},
		{"a fraction in words", "heartbeat: {checkFraction: half}", "in quotes, such as '0.01'"},
		{"an image with a space", "image: 'registry.example/node :1'", "image must be an image name"},
		{"an image in capitals", "image: registry.example/Node:1", "image must be an image name"},
		{"a base of 1", "inventory: {base: '1'}", "inventory.base must be a whole number from 2 to 1024"},
		{"a base of 1.5", "inventory: {base: '1.5'}", "inventory.base must be a whole number from 2 to 1024"},
		{"a base above 1024", "inventory: {base: '1025'}", "inventory.base must be a whole number from 2 to 1024"},
		{"no farmer for a file", "inventory: {redundancy: 0}", "spec.inventory.redundancy"},
		{"more farmers for a file than the node allows", "inventory: {redundancy: 9}", "should be less than or equal to 8"},
		{"more wrong answers than the node counts", "contracts: {wrongAnswers: 257}", "should be less than or equal to 256"},
		{"a Secret with a bad name", "mysql: {dsnSecretRef: {name: Bad_Name}}", "spec.mysql.dsnSecretRef.name"},
		{"a key that no Secret can have", "redis: {urlSecretRef: {name: a, key: 'a/b'}}", "spec.redis.urlSecretRef.key"},
		{"a label with a bad name", "pods: {labels: {'a b': x}}", "the keys of pods.labels must be label names"},
		{"an annotation with a bad name", "api: {service: {annotations: {'a//b': x}}}", "the keys of api.service.annotations must be label names"},
		{"a node selector with a bad name", "pods: {nodeSelector: {'-a': x}}", "the keys of pods.nodeSelector must be label names"},
		{"a toleration without a key", "pods: {tolerations: [{operator: Equal, value: x}]}", "with another operator, set key"},
		{"a toleration of everything with a value", "pods: {tolerations: [{key: a, operator: Exists, value: x}]}", "with operator Exists, leave value out"},
		{"an unknown effect", "pods: {tolerations: [{key: a, effect: Never}]}", "effect NoSchedule, PreferNoSchedule or NoExecute"},
		{"seconds without eviction", "pods: {tolerations: [{key: a, effect: NoSchedule, tolerationSeconds: 1}]}", "tolerationSeconds is for effect NoExecute"},
		{"requests above limits", "workers: {resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}}", "requests must not be more than limits"},
		{"a priority class with a bad name", "pods: {priorityClassName: Very_High}", "spec.pods.priorityClassName"},
		{"a huge inventory", "inventory: {totalSize: 2Pi}", "inventory.totalSize must be at most 1Pi"},
		{"no location database", "geoip: {}", "set exactly one of geoip.secretRef"},
		{"two location databases", "geoip: {secretRef: {name: g}, configMapRef: {name: g}}", "set exactly one of geoip.secretRef"},
		{"a location database outside its volume", "geoip: {volumeClaim: {claimName: g, path: ../x}}", "must stay on the volume"},
		{"a label that only the operator may set", "pods: {labels: {app.kubernetes.io/name: x}}", "pods.labels must not begin with"},
		{"an annotation that only the operator may set", "pods: {annotations: {downstream.driveshare.org/x: z}}", "pods.annotations must not begin with"},
		{"a whitelist without a ConfigMap", "whitelist: {}", "spec.whitelist.configMapRef: Required"},
		{"a maintenance without a start", "maintenance: {duration: 2h}", "spec.maintenance.start: Required"},
		{"a maintenance on a day that does not exist", "maintenance: {start: '2026-02-30T09:00:00Z', duration: 2h}", "spec.maintenance.start"},
		{"a maintenance without a zone", "maintenance: {start: '2026-02-03T09:00:00', duration: 2h}", "spec.maintenance.start"},
		{"a maintenance in days", "maintenance: {start: '2026-02-03T09:00:00Z', duration: 2d}", "maintenance.duration must be a time such as 2h"},
		{"a maintenance of no time", "maintenance: {start: '2026-02-03T09:00:00Z', duration: 0h}", "maintenance.duration must be more than 0s and at most 168h"},
		{"a maintenance of weeks", "maintenance: {start: '2026-02-03T09:00:00Z', duration: 169h}", "maintenance.duration must be more than 0s and at most 168h"},
		{"a maintenance with a long reason", "maintenance: {start: '2026-02-03T09:00:00Z', duration: 1h, reason: '" + strings.Repeat("x", 256) + "'}", "spec.maintenance.reason"},
		{"an unknown level", "log: {level: loud}", `supported values: "debug", "info", "warn", "error"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := parse(t, minimal, tt.spec)
			u.SetNamespace(c.namespace)
			err := c.Create(t.Context(), u)
			if err == nil {
				t.Fatal("the API server accepted it")
			}
			if strings.Contains(err.Error(), "error evaluating rule") || strings.Contains(err.Error(), "cost") {
				t.Errorf("a rule failed: %v", err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the message is\n%v\nbut does not contain %q", err, tt.want)
			}
		})
	}
}

// TestCRDAcceptsLimits checks that the CRD accepts values at the limits of its rules.
func TestCRDAcceptsLimits(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	for i, spec := range []string{
		"inventory: {totalSize: '0'}", "inventory: {totalSize: 32M, maxChunkSize: 32M}", "heartbeat: {checkFraction: '1'}",
		"heartbeat: {rotation: 1000, compromised: [0123456789ab, " + strings.Repeat("0f", 32) + "]}",
		"heartbeat: {detection: {lost: '1', withinSeconds: 1, probability: '0.99999999'}}",
		"heartbeat: {type: Merkle, detection: {lost: '0.01', withinSeconds: 77099, probability: '0.9'}}",
		"inventory: {base: '2.0'}", "inventory: {base: '1024'}", "inventory: {redundancy: 8}", "contracts: {wrongAnswers: 256}",
		"workers: {resources: {requests: {cpu: 1, memory: 1Gi}, limits: {cpu: '1', memory: 1024Mi}}}",
		"pods: {tolerations: [{operator: Exists}, {key: a, value: b, effect: NoExecute, tolerationSeconds: 5}], labels: {a.example.org/b_c: d}}",
		"mysql: {dsnSecretRef: null, connection: {hosts: [" + strings.Repeat("a-b.c.svc, ", 14) + "10.0.0.1, 'fd00::1'], database: d, username: u}}",
		"redis: {urlSecretRef: null, connection: {hosts: [a_b, b], masterName: m, database: 3, sentinelUsername: u, sentinelPasswordSecretRef: {name: s}}}",
		"redis: {urlSecretRef: null, connection: {hosts: [a, b], cluster: true, database: 0}}",
		"image: node", "image: driveshare/downstream-node:latest", "image: localhost:5000/a/b__c:V1.2-rc_1",
		"image: '[fd00::1]:5000/node'", "image: Registry.example/node:1@sha256:" + strings.Repeat("0a", 32),
	} {
		u := parse(t, minimal, spec)
		u.SetNamespace(c.namespace)
		u.SetName("node" + strconv.Itoa(i))
		if err := c.Create(t.Context(), u); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
	}
}

func TestCRDRefusesLongNames(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	for _, name := range []string{strings.Repeat("a", 41), "1node", "a.b"} {
		u := parse(t, minimal, "")
		u.SetNamespace(c.namespace)
		u.SetName(name)
		if err := c.Create(t.Context(), u); err == nil || !strings.Contains(err.Error(), "metadata.name must be 1 to 40") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCRDRefusesChanges(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	u := parse(t, minimal, "mysql: {dsnSecretRef: null, evaluation: {}}")
	u.SetNamespace(c.namespace)
	if err := c.Create(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	for spec, want := range map[string]string{
		"heartbeat: {type: Merkle}":                     "heartbeat.type cannot be changed",
		"mysql: {evaluation: {storage: {size: '2Gi'}}}": "the storage of an evaluation database cannot be changed",
	} {
		changed := u.DeepCopy()
		merge(changed.Object["spec"].(map[string]any), parse(t, minimal, spec).Object["spec"].(map[string]any))
		delete(changed.Object["spec"].(map[string]any)["mysql"].(map[string]any), "dsnSecretRef")
		if err := c.Update(t.Context(), changed); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", spec, err)
		}
	}
}

func TestCRDAcceptsTheSamples(t *testing.T) {
	t.Parallel()
	samples, err := filepath.Glob(controlplane.Path("config/samples/*.yaml"))
	if err != nil || len(samples) < 4 {
		t.Fatalf("%d samples, %v", len(samples), err)
	}
	for _, path := range samples {
		if filepath.Base(path) == "kustomization.yaml" {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		c := newCluster(t)
		u := parse(t, string(text), "")
		u.SetNamespace(c.namespace)
		if err := c.Create(t.Context(), u); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// unboundedUpstream lists the parts of the schema that Kubernetes defines. The values
// under resources are Kubernetes quantities, and renewTime is a metav1.Time, whose form
// the API server checks.
var unboundedUpstream = []string{
	".spec.pods.affinity", ".spec.pods.tolerations[]", ".spec.pods.topologySpreadConstraints[]",
	".resources.limits{}", ".resources.requests{}", ".status.conditions[]", ".status.operator.renewTime", ".status.backup.lastFailure", ".status.backup.lastSuccess", ".metadata", ".apiVersion", ".kind",
}

// TestCRDBoundsEverything checks that every field of the schema has a limit, so that a
// large object cannot fill etcd.
func TestCRDBoundsEverything(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(controlplane.Path("config/crd/bases/downstream.driveshare.org_downstreamnodes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var crd map[string]any
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatal(err)
	}
	versions, _, _ := unstructured.NestedSlice(crd, "spec", "versions")
	schema, _, _ := unstructured.NestedMap(versions[0].(map[string]any), "schema", "openAPIV3Schema")
	fields := 0
	walkSchema(schema, "", func(path string, s map[string]any) {
		fields++
		if s["description"] == nil && !strings.HasSuffix(path, "[]") && !strings.HasSuffix(path, "{}") {
			t.Errorf("%s has no description", path)
		}
		switch {
		case s["type"] == "string" && s["maxLength"] == nil && s["enum"] == nil:
			t.Errorf("%s is a string without maxLength", path)
		case s["type"] == "array" && s["maxItems"] == nil:
			t.Errorf("%s is a list without maxItems", path)
		case s["additionalProperties"] != nil && s["maxProperties"] == nil:
			t.Errorf("%s is a map without maxProperties", path)
		case s["type"] == "integer" && strings.HasPrefix(path, ".spec") && s["maximum"] == nil:
			t.Errorf("%s is a number without a maximum", path)
		}
	})
	if fields < 100 {
		t.Errorf("only %d fields were checked", fields)
	}
}

func walkSchema(s map[string]any, path string, visit func(string, map[string]any)) {
	for _, upstream := range unboundedUpstream {
		if strings.HasPrefix(path, upstream) || strings.HasSuffix(path, upstream) {
			return
		}
	}
	visit(path, s)
	if properties, ok := s["properties"].(map[string]any); ok {
		for name, below := range properties {
			walkSchema(below.(map[string]any), path+"."+name, visit)
		}
	}
	if items, ok := s["items"].(map[string]any); ok {
		walkSchema(items, path+"[]", visit)
	}
	if values, ok := s["additionalProperties"].(map[string]any); ok {
		walkSchema(values, path+"{}", visit)
	}
}
