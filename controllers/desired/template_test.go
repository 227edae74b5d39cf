package desired

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	batchv1ac "k8s.io/client-go/applyconfigurations/batch/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/config"
)

// templates has a pod template for all pods.
const templates = `
apiVersion: downstream.driveshare.org/v1
kind: DownstreamNode
metadata: {name: templates}
spec:
  mysql: {dsnSecretRef: {name: db}}
  redis: {urlSecretRef: {name: db}}
  pods: {labels: {team: storage}}
  api:
    podTemplate:
      metadata: {labels: {mesh: "on"}, annotations: {example.org/note: hello}}
      spec:
        serviceAccountName: farm
        runtimeClassName: sandbox
        securityContext: {runAsUser: null, runAsGroup: 2000, supplementalGroups: [3000]}
        initContainers: [{name: wait, image: example.org/wait}]
        containers:
        - {name: proxy, image: example.org/proxy, ports: [{name: private, containerPort: 15090}]}
        - name: api
          env: [{name: SSL_CERT_DIR, value: /ca}, {name: DOWNSTREAM_API_MAX_IN_FLIGHT, value: "50"}]
          envFrom: [{configMapRef: {name: more}}]
          ports: [{name: debug, containerPort: 6060}]
          resources: {limits: {memory: 2Gi}}
          securityContext: {readOnlyRootFilesystem: false}
          volumeMounts: [{name: ca, mountPath: /ca}]
        volumes: [{name: ca, configMap: {name: company-ca}}]
  jobs:
    podTemplate:
      spec:
        containers: [{name: job, env: [{name: SSL_CERT_DIR, value: /ca}], volumeMounts: [{name: ca, mountPath: /ca}]}]
        volumes: [{name: ca, configMap: {name: company-ca}}]
`

// templated returns a node with pod templates, as JSON or YAML. An empty one is not set.
func templated(t *testing.T, api, workers, jobs string) *Node {
	t.Helper()
	manifest := "apiVersion: downstream.driveshare.org/v1\nkind: DownstreamNode\nmetadata: {name: node}\n" +
		"spec:\n  mysql: {dsnSecretRef: {name: db}}\n  redis: {urlSecretRef: {name: db}}\n  whitelist: {configMapRef: {name: list}}\n"
	for field, template := range map[string]string{"api": api, "workers": workers, "jobs": jobs} {
		if template != "" {
			manifest += "  " + field + ": {podTemplate: " + template + "}\n"
		}
	}
	return node(t, manifest)
}

// podsOf returns the pod templates of a node, by their roles.
func podsOf(n *Node) map[Role]*corev1ac.PodTemplateSpecApplyConfiguration {
	return map[Role]*corev1ac.PodTemplateSpecApplyConfiguration{
		API:         n.APIDeployment(nil).Spec.Template,
		Workers:     n.WorkersDeployment(1).Spec.Template,
		Migration:   n.MigrationJob().Spec.Template,
		Whitelist:   n.WhitelistJob().Spec.Template,
		Maintenance: n.MaintenanceJob().Spec.Template,
	}
}

// TestNoChangeWithoutContent builds pods with templates that set nothing.
func TestNoChangeWithoutContent(t *testing.T) {
	t.Parallel()
	plain := templated(t, "", "", "")
	want := podsOf(plain)
	for _, empty := range []string{"{}", "null", "{spec: {}}", "{metadata: {creationTimestamp: null}, spec: {containers: []}}"} {
		n := templated(t, empty, empty, empty)
		if err := n.CheckPodTemplates(); err != nil {
			t.Errorf("%s: %v", empty, err)
			continue
		}
		for role, pod := range podsOf(n) {
			if got, want := toJSON(t, pod), toJSON(t, want[role]); got != want {
				t.Errorf("%s: the pod of %s is\n%s\nwant\n%s", empty, role, got, want)
			}
		}
	}
	hash := func(n *Node) string { return n.MigrationJob().Annotations[AnnotationTemplateHash] }
	if hash(templated(t, "{}", "{}", "{}")) != hash(plain) {
		t.Error("an empty template makes the Job of the migration again")
	}
}

func toJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestJobsAreMadeAgain changes what the pods of Jobs depend on. A Job that has succeeded does not
// run again for it, because its name stays; one that has not is made again.
func TestJobsAreMadeAgain(t *testing.T) {
	t.Parallel()
	names := func(n *Node) []string { return []string{n.MigrationName(), n.WhitelistName(), n.MaintenanceName()} }
	templates := func(n *Node) (hashes []string) {
		for _, job := range []*batchv1ac.JobApplyConfiguration{n.MigrationJob(), n.WhitelistJob(), n.MaintenanceJob()} {
			hashes = append(hashes, job.Annotations[AnnotationTemplateHash])
		}
		return hashes
	}
	plain := templated(t, "", "", "")
	if got := templates(templated(t, "{spec: {hostname: a}}", "{spec: {hostname: a}}", "")); !slices.Equal(got, templates(plain)) {
		t.Error("the templates of other pods change the Jobs")
	}
	for what, edit := range map[string]func(*Node){
		"a template":    func(n *Node) { n.DownstreamNode = templated(t, "", "", "{spec: {hostname: a}}").DownstreamNode },
		"OpenShift":     func(n *Node) { n.OnOpenShift = true },
		"a pull secret": func(n *Node) { n.Spec.ImagePullSecrets = []v1.ObjectReference{{Name: "registry"}} },
		"a toleration":  func(n *Node) { n.Spec.Pods.Tolerations = []corev1.Toleration{{Key: "disk"}} },
		"a Secret":      func(n *Node) { n.Spec.MySQL.DSNSecretRef.Name = "another" },
		"a log level":   func(n *Node) { n.Spec.Log.Level = "debug" },
	} {
		n := templated(t, "", "", "")
		edit(n)
		if got := names(n); !slices.Equal(got, names(plain)) {
			t.Errorf("%s changes the names %v to %v", what, names(plain), got)
		}
		for i, hash := range templates(n) {
			if hash == "" || hash == templates(plain)[i] {
				t.Errorf("%s does not change the template of the Job %s", what, names(plain)[i])
			}
		}
	}
	n := templated(t, "", "", "")
	n.Inputs.MySQL["dsn"] = []byte("user:another@tcp(mysql:3306)/downstream")
	if templates(n)[1] == templates(plain)[1] {
		t.Error("another password does not make the Job of the whitelist again")
	}
}

func TestWrongTemplates(t *testing.T) {
	t.Parallel()
	api := func(container string) string { return "{spec: {containers: [{name: api, " + container + "}]}}" }
	const isNone = "spec.api.podTemplate is not a pod template: "
	for _, tt := range []struct{ name, template, want string }{
		{"a misspelt field", "{spec: {contaners: []}}", isNone + `unknown field "spec.contaners"; see`},
		{"two misspelt fields", "{Spec: {}, spec: {container: []}}", `unknown field "Spec"; unknown field "spec.container"`},
		{"a number as a variable", api("env: [{name: A, value: 5}]"), isNone + "json: cannot unmarshal number into Go struct field EnvVar.spec.containers.env.value of type string"},
		{"a map in place of a list", "{spec: {containers: {name: api}}}", isNone + "json: cannot unmarshal object"},
		{"a whole Deployment", "{kind: Deployment, spec: {template: {}}}", `unknown field "kind"`},
		{"a directive", "{spec: {$patch: replace, hostname: x}}", `unknown field "spec.$patch"`},
		{"a directive for a container", "{spec: {containers: [{name: api, $patch: delete}]}}", `unknown field "spec.containers[0].$patch"`},
		{"a directive among the labels", "{metadata: {labels: {$patch: replace}}}", "sets the labels that begin with app.kubernetes.io/ or downstream.driveshare.org/ itself: leave"},
		{"a container without a name", "{spec: {containers: [{image: x}]}}", "merge key: name"},
		{"a misnamed container", "{spec: {containers: [{name: farm, env: [{name: A}]}]}}", `the container "farm" has no image: set it, or use the name api`},
		{"an init container without an image", "{spec: {initContainers: [{name: wait}]}}", `the container "wait" has no image`},
		{"an image", api("image: x"), "sets image itself: set spec.image instead"},
		{"no image", api("image: null"), "sets image itself"},
		{"a command", api("command: [sh]"), "sets command itself: leave it out"},
		{"arguments", api("args: [api]"), "sets args itself"},
		{"a probe", api("readinessProbe: {periodSeconds: 5}"), "sets readinessProbe itself"},
		{"no probe", api("livenessProbe: null"), "sets livenessProbe itself"},
		{"another startup probe", api("startupProbe: {exec: {command: [a]}}"), "sets startupProbe itself"},
		{"no last words", api("terminationMessagePolicy: File"), "sets terminationMessagePolicy itself"},
		{"a renamed port", api("ports: [{containerPort: 5000, name: web}]"), "sets the port farmers itself"},
		{"no ports", api("ports: null"), "sets the port private itself"},
		{"a short grace period", "{spec: {terminationGracePeriodSeconds: 1}}", "sets terminationGracePeriodSeconds itself: set the timeouts of spec.api"},
		{"the configuration replaced", api("volumeMounts: [{name: x, mountPath: /etc/downstream}]"), "sets the volumeMount /etc/downstream itself"},
		{"the configuration hidden", api("volumeMounts: [{name: x, mountPath: /etc/downstream//}]"), "the mountPath /etc/downstream// is in /etc/downstream, where"},
		{"a key hidden", api("volumeMounts: [{name: x, mountPath: /etc/downstream/heartbeat}]"), "the mountPath /etc/downstream/heartbeat is in /etc/downstream"},
		{"another volume of files", "{spec: {volumes: [{name: downstream, emptyDir: {}}]}}", "sets the volume downstream itself: use another name"},
		{"no volumes", "{spec: {volumes: null}}", "sets the volume downstream itself"},
		{"a label of the selector", "{metadata: {labels: {app.kubernetes.io/component: x}}}", "sets the labels that begin with"},
		{"no labels", "{metadata: {labels: null}}", "sets the labels that begin with"},
		{"an annotation of the operator", "{metadata: {annotations: {downstream.driveshare.org/config-hash: x}}}", "sets the annotations that begin with"},
		{"a name", "{metadata: {name: x}}", "metadata may have labels and annotations only"},
		{"a variable of the spec", api("env: [{name: DOWNSTREAM_API_LISTEN, value: ':1'}]"), "the variable DOWNSTREAM_API_LISTEN would override the spec"},
		{"another database", api("env: [{name: DOWNSTREAM_DATABASE_DSN, value: x}]"), "the variable DOWNSTREAM_DATABASE_DSN would override the spec"},
		{"two problems", api("image: x, command: [sh]"), "set spec.image instead; the operator sets command itself"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := templated(t, tt.template, "", "").CheckPodTemplates()
			if err == nil || !strings.HasPrefix(err.Error(), "spec.api.podTemplate") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestWrongTemplatesOfOtherPods(t *testing.T) {
	t.Parallel()
	job := func(container string) string { return "{spec: {containers: [{name: job, " + container + "}]}}" }
	for _, tt := range []struct{ name, workers, jobs, want string }{
		{"a container of the API", "{spec: {containers: [{name: api}]}}", "", `spec.workers.podTemplate: the container "api" has no image: set it, or use the name workers`},
		{"a sidecar of a Job", "", "{spec: {containers: [{name: proxy, image: x}]}}", "spec.jobs.podTemplate: a Job ends only if all its containers end"},
		{"a Job without an end", "", "{spec: {restartPolicy: OnFailure}}", "sets restartPolicy itself"},
		{"another owner of the database", "", job("env: [{name: DOWNSTREAM_NODE_UID, value: x}]"), "sets the variable DOWNSTREAM_NODE_UID itself"},
		{"no whitelist", "", job("env: [{name: DOWNSTREAM_YES, value: 'false'}]"), "sets the variable DOWNSTREAM_YES itself"},
		{"another command", "", job("args: [x]"), "sets args itself"},
	} {
		if err := templated(t, "", tt.workers, tt.jobs).CheckPodTemplates(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v\nwant %s", tt.name, err, tt.want)
		}
	}
}

// TestTemplateWins merges a template and looks at what must not depend on the order in
// which the template lists things. The golden files show the rest.
func TestTemplateWins(t *testing.T) {
	t.Parallel()
	n := node(t, templates)
	if err := n.CheckPodTemplates(); err != nil {
		t.Fatal(err)
	}
	pod := n.APIDeployment(nil).Spec.Template.Spec
	if c := pod.Containers; len(c) != 2 || *c[0].Name != "api" || *c[1].Name != "proxy" {
		t.Errorf("the containers are %s, want api before proxy", toJSON(t, c))
	}
	if s := pod.SecurityContext; s.RunAsUser != nil || *s.RunAsGroup != 2000 || *s.FSGroup != unprivileged {
		t.Errorf("the security context is %s", toJSON(t, s))
	}
	if c := n.MigrationJob().Spec.Template.Spec.Containers; len(c) != 1 || *c[0].Name != "migration" || len(c[0].Env) != 2 {
		t.Errorf("the containers of the migration are %s", toJSON(t, c))
	}
}

// TestVariables checks that the guarded variables are variables of the node, and that
// those that guard against envFrom are empty.
func TestVariables(t *testing.T) {
	t.Parallel()
	n := node(t, overrides)
	c := app.Default()
	var known []string
	for _, f := range config.Fields(&c) {
		known = append(known, f.Env)
	}
	for _, role := range []Role{API, Workers, Migration, Whitelist, Maintenance} {
		guarded := n.variables(role)
		for _, name := range guarded {
			if !slices.Contains(known, name) {
				t.Errorf("%s: the node has no variable %s", role, name)
			}
		}
		for _, want := range []string{"DOWNSTREAM_DATABASE_DSN", "DOWNSTREAM_DATABASE_DSN_FILE", "DOWNSTREAM_LOG_LEVEL"} {
			if !slices.Contains(guarded, want) {
				t.Errorf("%s: %s is not guarded", role, want)
			}
		}
	}
	if guarded := n.variables(API); !slices.Contains(guarded, "DOWNSTREAM_API_RATE_LIMITS_PER_TOKEN_RATE") || slices.Contains(guarded, "DOWNSTREAM_API_MAX_IN_FLIGHT") {
		t.Errorf("the API's guarded variables are %v", guarded)
	}
	for _, e := range node(t, templates).APIDeployment(nil).Spec.Template.Spec.Containers[0].Env {
		if strings.HasPrefix(*e.Name, "DOWNSTREAM_DATABASE_DSN") && (e.Value != nil || e.ValueFrom != nil) {
			t.Errorf("%s has a value", *e.Name)
		}
	}
}

// TestOpenShift looks for a fixed user or group in the pods of a node on OpenShift.
func TestOpenShift(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		spec           *bool
		cluster, fixed bool
	}{
		{"another cluster", nil, false, true},
		{"an OpenShift", nil, true, false},
		{"the spec says so", new(true), false, false},
		{"the spec says not", new(false), true, true},
	} {
		n := sample(t, "evaluation")
		n.Spec.OpenShift, n.OnOpenShift = tt.spec, tt.cluster
		for pod, spec := range map[string]*corev1ac.PodSpecApplyConfiguration{
			"API": n.APIDeployment(nil).Spec.Template.Spec, "workers": n.WorkersDeployment(1).Spec.Template.Spec,
			"migration": n.MigrationJob().Spec.Template.Spec, "MySQL": n.MySQLStatefulSet().Spec.Template.Spec,
			"Redis": n.RedisStatefulSet().Spec.Template.Spec,
		} {
			s := spec.SecurityContext
			fixed := []bool{s.RunAsUser != nil, s.RunAsGroup != nil, s.FSGroup != nil}
			if slices.Contains(fixed, !tt.fixed) || !*s.RunAsNonRoot || *s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
				t.Errorf("%s: the %s has the security context %s", tt.name, pod, toJSON(t, s))
			}
		}
	}
}
