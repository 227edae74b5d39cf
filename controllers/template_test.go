package controllers_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/driveshare/downstream-node/api/v1"
)

// template returns a pod template of the spec.
func template(t *testing.T, text string) *runtime.RawExtension {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return &runtime.RawExtension{Raw: raw}
}

// setTemplate changes the pod template of the API. An empty text removes it.
func (f *farm) setTemplate(text string) {
	f.t.Helper()
	f.edit(func(s *v1.DownstreamNodeSpec) {
		s.API.PodTemplate = nil
		if text != "" {
			s.API.PodTemplate = template(f.t, text)
		}
	})
	f.settle()
}

func TestPodTemplate(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	plain, workers := f.deployment("node-api"), f.deployment("node-workers")

	f.setTemplate("{}")
	if got := f.deployment("node-api").ResourceVersion; got != plain.ResourceVersion {
		t.Error("an empty template changes the Deployment")
	}

	f.setTemplate("{spec: {containers: [{name: proxy, image: x}, {name: api, env: [{name: A, value: b}], envFrom: [{secretRef: {name: more}}]}], volumes: [{name: ca, configMap: {name: ca}}]}}")
	d := f.deployment("node-api")
	pod := d.Spec.Template.Spec
	if len(pod.Containers) != 2 || pod.Containers[0].Name != "api" || pod.Containers[1].Image != "x" || len(pod.Volumes) != 2 {
		t.Errorf("the pod is %+v", pod)
	}
	if env := pod.Containers[0].Env; !slices.Contains(env, corev1.EnvVar{Name: "A", Value: "b"}) || !slices.Contains(env, corev1.EnvVar{Name: "DOWNSTREAM_DATABASE_DSN"}) {
		t.Errorf("the variables are %+v", env)
	}
	f.wantCondition("Progressing", "True", "RollingOut")
	f.run("node-api")
	f.settle()
	f.wantCondition("Ready", "True", "FarmersCanFarm")
	before := f.versions()
	for range 10 {
		f.ok(f.reconcile())
	}
	if f.versions() != before {
		t.Error("a repeated reconcile changes an object")
	}

	f.setTemplate("")
	if got := f.deployment("node-api").Spec.Template; got.String() != plain.Spec.Template.String() {
		t.Errorf("without the template, the pod is\n%v\nand was\n%v", got, plain.Spec.Template)
	}
	if f.deployment("node-workers").ResourceVersion != workers.ResourceVersion {
		t.Error("the template of the API changes the workers")
	}
}

func TestWrongPodTemplate(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	before := f.deployment("node-api").ResourceVersion
	f.setTemplate("{spec: {containers: [{name: api, command: [sleep]}]}}")
	f.wantCondition("Degraded", "True", "PodTemplateInvalid")
	f.wantCondition("Ready", "False", "PodTemplateInvalid")
	f.wantCondition("Available", "True", "FarmersCanFarm")
	f.wantMessage("Degraded", "Spec.api.podTemplate: the operator sets command itself: leave it out of the template", "the operator changes no pod.")
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Image = "example.org/new" })
	f.settle()
	if f.deployment("node-api").ResourceVersion != before || strings.Contains(f.jobOf("migration").Spec.Template.String(), "example.org/new") {
		t.Error("pods were changed, although a template is wrong")
	}
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Image = "" })

	// Only the API server knows what else no pod can have.
	for _, tt := range []struct{ template, want string }{
		{"{spec: {containers: [{name: api, volumeMounts: [{name: ca, mountPath: /ca}]}]}}", "volumeMounts"},
		{"{spec: {containers: [{name: api, env: [{name: A}, {name: A}]}]}}", `"A"`},
	} {
		f.setTemplate(tt.template)
		f.wantCondition("Degraded", "True", "ApplyFailed")
		f.wantMessage("Degraded", "Deployment node-api", tt.want)
		if f.deployment("node-api").ResourceVersion != before {
			t.Errorf("%s: the Deployment was changed", tt.template)
		}
	}
	f.setTemplate("")
	f.wantCondition("Degraded", "False", "AsExpected")
}

// TestNullInATemplate creates a node with a null, and applies one. A null deletes a value of
// the operator. A client-side `kubectl apply` drops the null when it changes a node.
func TestNullInATemplate(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "workers: {podTemplate: {spec: {securityContext: {runAsUser: null}}}}")
	f.bringUp()
	if s := f.deployment("node-workers").Spec.Template.Spec.SecurityContext; s.RunAsUser != nil || s.RunAsGroup == nil {
		t.Errorf("the security context of the workers is %v", s)
	}
	u := parse(t, minimal, "api: {podTemplate: {spec: {securityContext: {runAsUser: null}}}}")
	text, err := json.Marshal(u.Object)
	f.ok(err)
	kubectl(t, string(text), "apply", "--server-side", "-n", f.namespace, "-f", "-")
	f.settle()
	if s := f.deployment("node-api").Spec.Template.Spec.SecurityContext; s.RunAsUser != nil || s.RunAsGroup == nil {
		t.Errorf("the security context of the API is %v", s)
	}
}

// TestTroubleOfAnInitContainer adds an init container that cannot start.
func TestTroubleOfAnInitContainer(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "api: {podTemplate: {spec: {initContainers: [{name: wait, image: example.org/none}]}}}")
	f.bringUp()
	f.setImage("example.org/new")
	f.finish(f.jobOf("migration"), true)
	f.settle()
	f.podWith(nil, f.deployment("node-api").Spec.Template, func(s *corev1.PodStatus) {
		s.InitContainerStatuses = []corev1.ContainerStatus{{Name: "wait", Image: "example.org/none", State: notPulled()}}
	})
	f.settle()
	f.wantCondition("Degraded", "True", "ImagePullFailed")
	f.wantMessage("Degraded", "example.org/none")
}

// The user and group IDs that OpenShift has assigned to a namespace.
const firstID, lastID = 1000680000, 1000689999

// restrictedV2 returns why OpenShift's security context constraint restricted-v2 refuses a
// pod. The constraint sets the user, the groups and the SELinux labels of a pod that sets
// none. It would also set absent capabilities, but here each container must drop them
// itself, as the restricted pod security standard requires.
func restrictedV2(pod corev1.PodSpec) (refusals []string) {
	refuse := func(wrong bool, what string) {
		if wrong {
			refusals = append(refusals, what)
		}
	}
	id := func(id *int64) bool { return id == nil || *id >= firstID && *id <= lastID }
	seccomp := func(p *corev1.SeccompProfile) bool {
		return p == nil || p.Type == corev1.SeccompProfileTypeRuntimeDefault
	}
	refuse(pod.HostNetwork || pod.HostPID || pod.HostIPC, "host namespaces")
	if s := pod.SecurityContext; s != nil {
		refuse(!id(s.RunAsUser), "runAsUser")
		refuse(!id(s.FSGroup), "fsGroup")
		refuse(!seccomp(s.SeccompProfile), "seccompProfile")
		refuse(s.SELinuxOptions != nil, "seLinuxOptions")
		refuse(len(s.Sysctls) > 0, "sysctls")
	}
	for _, v := range pod.Volumes {
		s := v.VolumeSource
		s.ConfigMap, s.CSI, s.DownwardAPI, s.EmptyDir, s.Ephemeral, s.PersistentVolumeClaim, s.Projected, s.Secret = nil, nil, nil, nil, nil, nil, nil, nil
		refuse(s != corev1.VolumeSource{}, "volume "+v.Name)
	}
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
		refuse(slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.HostPort != 0 }), "hostPort")
		s := c.SecurityContext
		if s == nil || s.Capabilities == nil || s.AllowPrivilegeEscalation == nil {
			refuse(true, "no security context of "+c.Name)
			continue
		}
		refuse(!id(s.RunAsUser), "runAsUser of "+c.Name)
		refuse(!seccomp(s.SeccompProfile), "seccompProfile of "+c.Name)
		refuse(s.SELinuxOptions != nil, "seLinuxOptions of "+c.Name)
		refuse(s.Privileged != nil && *s.Privileged, "privileged "+c.Name)
		refuse(*s.AllowPrivilegeEscalation, "allowPrivilegeEscalation of "+c.Name)
		refuse(!slices.Contains(s.Capabilities.Drop, "ALL"), "capabilities of "+c.Name)
		refuse(slices.ContainsFunc(s.Capabilities.Add, func(c corev1.Capability) bool { return c != "NET_BIND_SERVICE" }), "added capabilities of "+c.Name)
	}
	return refusals
}

// everyPod returns the pods that a node's Deployments, StatefulSets and Jobs make.
func (f *farm) everyPod() map[string]corev1.PodSpec {
	f.t.Helper()
	pods := map[string]corev1.PodSpec{}
	for _, name := range []string{"node-api", "node-workers"} {
		pods[name] = f.deployment(name).Spec.Template.Spec
	}
	for _, name := range []string{"node-mysql", "node-redis"} {
		set := &appsv1.StatefulSet{}
		f.get(set, name)
		pods[name] = set.Spec.Template.Spec
	}
	for _, role := range []string{"migration", "whitelist", "maintenance"} {
		pods[role] = f.jobOf(role).Spec.Template.Spec
	}
	cronJob := &batchv1.CronJob{}
	f.get(cronJob, "node-backup")
	pods[cronJob.Name] = cronJob.Spec.JobTemplate.Spec.Template.Spec
	return pods
}

// everyJob is a spec with each kind of pod, and a location database on a volume.
const everyJob = backedUp + `
whitelist: {configMapRef: {name: list}}
maintenance: {start: "2026-01-02T09:00:00Z", duration: 2h}
geoip: {volumeClaim: {claimName: geo}}
`

// TestRestrictedV2 evaluates OpenShift's default constraint for every pod of a node.
func TestRestrictedV2(t *testing.T) {
	t.Parallel()
	const sidecar = "{name: proxy, image: x, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}"
	for _, tt := range []struct {
		name, spec string
		detected   bool
		refusals   string // of each pod
	}{
		{"an OpenShift", "", true, ""},
		{"the spec says so", "openshift: true", false, ""},
		{"the spec says not", "openshift: false", true, "runAsUser fsGroup"},
		{"another cluster", "", false, "runAsUser fsGroup"},
		{
			"an OpenShift, with templates",
			"api: {podTemplate: {spec: {initContainers: [" + sidecar + "], containers: [{name: api, envFrom: [{configMapRef: {name: a}}]}]}}}\n" +
				"workers: {podTemplate: {spec: {containers: [" + sidecar + "], volumes: [{name: ca, configMap: {name: ca}}]}}}\n" +
				"jobs: {podTemplate: {spec: {serviceAccountName: jobs}}}", true, "",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := emptyFarm(t)
			f.operator.OpenShift = tt.detected
			f.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "list"}, Data: map[string]string{"whitelist.csv": "a\n"}})
			f.createNode(everyJob + tt.spec)
			f.bringUp()
			for name, pod := range f.everyPod() {
				if got := strings.Join(restrictedV2(pod), " "); got != tt.refusals {
					t.Errorf("%s: restricted-v2 refuses %q, want %q", name, got, tt.refusals)
				}
			}
		})
	}
}

// TestRestrictedV2Refuses checks that the evaluation sees what the constraint refuses.
func TestRestrictedV2Refuses(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "openshift: true")
	f.bringUp()
	for template, want := range map[string]string{
		"{spec: {securityContext: {runAsUser: 1000}}}":                                                                   "runAsUser",
		"{spec: {securityContext: {fsGroup: 1}}}":                                                                        "fsGroup",
		"{spec: {securityContext: {seccompProfile: {type: Unconfined}}}}":                                                "seccompProfile",
		"{spec: {hostNetwork: true}}":                                                                                    "host namespaces",
		"{spec: {volumes: [{name: host, hostPath: {path: /}}]}}":                                                         "volume host",
		"{spec: {containers: [{name: api, securityContext: {allowPrivilegeEscalation: true}}]}}":                         "allowPrivilegeEscalation of api",
		"{spec: {containers: [{name: api, securityContext: {capabilities: {drop: [KILL]}}}]}}":                           "capabilities of api",
		"{spec: {containers: [{name: api, securityContext: {capabilities: {add: [SYS_TIME]}}}]}}":                        "added capabilities of api",
		"{spec: {containers: [{name: api, securityContext: {allowPrivilegeEscalation: true, privileged: true}}]}}":       "privileged api allowPrivilegeEscalation of api",
		"{spec: {containers: [{name: proxy, image: x}]}}":                                                                "no security context of proxy",
		"{spec: {containers: [{name: api, ports: [{containerPort: 1, hostPort: 1}], securityContext: {runAsUser: 1}}]}}": "hostPort runAsUser of api",
	} {
		f.setTemplate(template)
		if got := strings.Join(restrictedV2(f.deployment("node-api").Spec.Template.Spec), " "); got != want {
			t.Errorf("%s: restricted-v2 refuses %q, want %q", template, got, want)
		}
	}
}
