package controllers_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers"
)

func TestMinimalNode(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	node := f.node()
	objects := f.objects()
	names := f.shape()
	want := []string{
		"ConfigMap/node-api-*", "ConfigMap/node-migration-*", "ConfigMap/node-workers-*",
		"Deployment/node-api", "Deployment/node-workers",
		"DownstreamNode/node",
		"Job/node-migration-*",
		"NetworkPolicy/node-api", "NetworkPolicy/node-jobs", "NetworkPolicy/node-workers",
		"PodDisruptionBudget/node-api",
		"Secret/backends", "Secret/node-heartbeat-key",
		"Service/node-api",
	}
	if !slices.Equal(names, want) {
		t.Errorf("the objects are\n%s\nwant\n%s", strings.Join(names, "\n"), strings.Join(want, "\n"))
	}
	for name, object := range objects {
		switch name {
		case "DownstreamNode/node", "Secret/backends":
			continue
		case "Secret/node-heartbeat-key":
			if len(object.OwnerReferences) > 0 {
				t.Errorf("%s has the owners %v, want none", name, object.OwnerReferences)
			}
		default:
			if !metav1.IsControlledBy(&object, node) {
				t.Errorf("%s is not the node's", name)
			}
		}
		if !slices.ContainsFunc(object.ManagedFields, func(e metav1.ManagedFieldsEntry) bool { return e.Manager == controllers.FieldOwner }) {
			t.Errorf("%s has no fields of the operator's", name)
		}
	}
	if got := node.Status.URL; got != "http://node-api."+f.namespace+".svc" {
		t.Errorf("the URL is %s", got)
	}
	if node.Status.ObservedGeneration != node.Generation {
		t.Errorf("observed generation %d of %d", node.Status.ObservedGeneration, node.Generation)
	}
}

func TestReconcilingAgainChangesNothing(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "workers: {replicas: 2}")
	f.bringUp()
	before := f.versions()
	for range 10 {
		f.ok(f.reconcile())
	}
	if after := f.versions(); after != before {
		t.Errorf("the objects were\n%s\nand are\n%s", before, after)
	}
	if sent := f.events(); len(sent) > 0 {
		t.Errorf("events were sent: %q", sent)
	}
}

func TestDriftIsRepairedAndForeignFieldsStay(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	d := f.deployment("node-api")
	want := d.Spec.Template.Spec.Containers[0].Image
	d.Spec.Template.Spec.Containers[0].Image = "example.org/mischief"
	d.Spec.Template.Spec.DeprecatedServiceAccount = ""
	d.Annotations = map[string]string{"example.org/note": "mine"}
	d.Spec.Template.Annotations["example.org/restarted"] = "now"
	f.ok(f.Update(t.Context(), d, client.FieldOwner("somebody")))
	f.ok(f.Delete(t.Context(), &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "node-api"}}))
	f.settle()
	d = f.deployment("node-api")
	if got := d.Spec.Template.Spec.Containers[0].Image; got != want {
		t.Errorf("the image is %s, want %s", got, want)
	}
	if d.Annotations["example.org/note"] != "mine" || d.Spec.Template.Annotations["example.org/restarted"] != "now" {
		t.Errorf("a field of another manager was deleted: %v, %v", d.Annotations, d.Spec.Template.Annotations)
	}
	f.get(&policyv1.PodDisruptionBudget{}, "node-api")
}

func TestScaleChangesWorkersOnly(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	api := f.deployment("node-api").ResourceVersion
	scale := &autoscalingv1.Scale{}
	f.ok(f.SubResource("scale").Get(t.Context(), f.node(), scale))
	if scale.Spec.Replicas != 1 || scale.Status.Replicas != 1 {
		t.Errorf("the scale is %+v", scale)
	}
	selector, err := labels.Parse(scale.Status.Selector)
	f.ok(err)
	if !selector.Matches(labels.Set(f.deployment("node-workers").Spec.Template.Labels)) || selector.Matches(labels.Set(f.deployment("node-api").Spec.Template.Labels)) {
		t.Errorf("the selector %s does not select the workers alone", selector)
	}
	scale.Spec.Replicas = 4
	f.ok(f.SubResource("scale").Update(t.Context(), f.node(), client.WithSubResourceBody(scale)))
	f.settle()
	if got := *f.deployment("node-workers").Spec.Replicas; got != 4 {
		t.Errorf("%d workers are applied, want 4", got)
	}
	if got := f.deployment("node-api").ResourceVersion; got != api {
		t.Error("the API was changed")
	}
	f.get(&policyv1.PodDisruptionBudget{}, "node-workers")
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Workers.Replicas = new(int32(1)) })
	f.settle()
	if f.find(&policyv1.PodDisruptionBudget{}, "node-workers") {
		t.Error("one worker has a disruption budget, want none")
	}
}

func TestOwnershipClash(t *testing.T) {
	t.Parallel()
	f := emptyFarm(t)
	f.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "backends"}, StringData: map[string]string{"dsn": "d", "url": "redis://r"}})
	theirs := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "node-api"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 1}}}}
	f.create(theirs)
	f.createNode("")
	f.settle()
	f.wantCondition("Degraded", "True", "OwnershipConflict")
	f.wantCondition("Ready", "False", "OwnershipConflict")
	live := &corev1.Service{}
	f.get(live, "node-api")
	if live.ResourceVersion != theirs.ResourceVersion {
		t.Error("the Service of another owner was changed")
	}
	f.ok(f.Delete(t.Context(), live))
	f.bringUp()
}

func TestObjectsOfADeletedNodeAreAdopted(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	node := f.node()
	// `kubectl delete --cascade=orphan` has this effect.
	for _, object := range f.objects() {
		if metav1.IsControlledBy(&object, node) {
			f.ok(f.Patch(t.Context(), &object, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"ownerReferences":null}}`))))
		}
	}
	f.ok(f.Delete(t.Context(), node))
	f.createNode("")
	f.settle()
	f.finish(f.jobOf("migration"), true) // the new node claims the database
	f.settle()
	if !metav1.IsControlledBy(f.deployment("node-api"), f.node()) {
		t.Error("the Deployment was not taken over")
	}
}

func TestForeignConditionsSurvive(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.settle()
	node := f.node()
	meta.SetStatusCondition(&node.Status.Conditions, metav1.Condition{Type: "example.org/Audited", Status: "True", Reason: "Audited", Message: "m"})
	f.ok(f.Status().Update(t.Context(), node, client.FieldOwner("auditor")))
	f.finish(f.jobOf("migration"), true)
	f.settle()
	if !meta.IsStatusConditionTrue(f.node().Status.Conditions, "example.org/Audited") {
		t.Error("the auditor's condition was deleted")
	}
	for _, entry := range f.node().ManagedFields {
		if entry.Manager == controllers.FieldOwner && entry.FieldsV1 != nil && strings.Contains(entry.FieldsV1.GetRawString(), "Audited") {
			t.Error("the operator took the auditor's condition over")
		}
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Paused = true; s.Workers.Replicas = new(int32(7)) })
	d := f.deployment("node-workers")
	d.Spec.Replicas = new(int32(3))
	f.ok(f.Update(t.Context(), d))
	f.settle()
	f.wantCondition("Paused", "True", "Paused")
	f.wantCondition("Available", "True", "FarmersCanFarm")
	if got := *f.deployment("node-workers").Spec.Replicas; got != 3 {
		t.Errorf("the operator made it %d workers while paused", got)
	}
	if sent := f.events(); len(sent) != 1 || !strings.Contains(sent[0], "Paused") {
		t.Errorf("the events are %q", sent)
	}
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Paused = false })
	f.settle()
	if got := *f.deployment("node-workers").Spec.Replicas; got != 7 {
		t.Errorf("%d workers after the pause, want 7", got)
	}
	f.wantCondition("Paused", "False", "NotPaused")
}

// TestPausedNodeWithoutItsService deletes the Service of a paused node. The operator must
// not create it again, but must not call the node ready.
func TestPausedNodeWithoutItsService(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Paused = true })
	f.settle()
	f.ok(f.Delete(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "node-api"}}))
	f.settle()
	f.wantCondition("APIAvailable", "False", "ServiceMissing")
	f.wantCondition("Ready", "False", "ServiceMissing")
	if got := f.node().Status.URL; got != "" {
		t.Errorf("the URL is %s", got)
	}
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Paused = false })
	f.settle()
	f.wantCondition("Available", "True", "FarmersCanFarm")
}

func TestURLWithAPort(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "api: {service: {port: 8080}}")
	f.bringUp()
	if got := f.node().Status.URL; got != "http://node-api."+f.namespace+".svc:8080" {
		t.Errorf("the URL is %s", got)
	}
}

// TestDSNThatIsAURL checks that the operator names the mistake and does not show the
// password.
func TestDSNThatIsAURL(t *testing.T) {
	t.Parallel()
	f := emptyFarm(t)
	f.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "backends"}, StringData: map[string]string{"dsn": "mysql://user:password@mysql/d", "url": "redis://r"}})
	f.createNode("")
	f.settle()
	f.wantCondition("Degraded", "True", "DSNInvalid")
	f.wantMessage("Degraded", "begins with mysql://", "write it as user:password@tcp(host:3306)/database")
	if strings.Contains(f.message("Degraded"), "mysql/d") {
		t.Error("the message shows the data source name")
	}
	f.ok(f.Patch(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "backends"}},
		client.RawPatch("application/merge-patch+json", []byte(`{"stringData":{"dsn":"u:p://x@tcp(mysql)/d"}}`))))
	f.bringUp()
}

// TestReplicaForReading checks that only the API gets the data source name of the replica,
// and that its pods are replaced if the name changes.
func TestReplicaForReading(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "mysql: {dsnSecretRef: {name: backends}, readDSNSecretRef: {name: replica}}")
	f.settle()
	f.wantCondition("Degraded", "True", "SecretMissing")
	f.wantMessage("Degraded", "Secret replica does not exist", "create it with the key dsn")
	f.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "replica"}, StringData: map[string]string{"dsn": "u:p@tcp(replica)/d"}})
	f.bringUp()
	templates := func() (api, workers string) {
		return toJSON(t, f.deployment("node-api").Spec.Template), toJSON(t, f.deployment("node-workers").Spec.Template)
	}
	api, workers := templates()
	const file = "mysql/readDSN"
	if !strings.Contains(api, file) || strings.Contains(workers, file) {
		t.Errorf("only the API must read %s:\n%s\n%s", file, api, workers)
	}
	f.ok(f.Patch(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "replica"}},
		client.RawPatch("application/merge-patch+json", []byte(`{"stringData":{"dsn":"u:other@tcp(replica)/d"}}`))))
	f.settle()
	if newAPI, newWorkers := templates(); newAPI == api || newWorkers != workers {
		t.Error("another password must replace the pods of the API, and only these")
	}
}

func toJSON(t *testing.T, object any) string {
	t.Helper()
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestStalledRollout(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	d := f.deployment("node-workers")
	d.Status.AvailableReplicas, d.Status.ReadyReplicas = 0, 0
	d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: "False", Reason: "ProgressDeadlineExceeded", Message: "it has timed out"}}
	f.ok(f.Status().Update(t.Context(), d))
	f.settle()
	f.wantCondition("WorkersAvailable", "False", "NoneAvailable")
	f.wantCondition("Degraded", "True", "RolloutStalled")
	f.wantCondition("Progressing", "False", "AsExpected")
	d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: "True", Reason: "FailedCreate", Message: "exceeded quota"}}
	f.ok(f.Status().Update(t.Context(), d))
	f.settle()
	f.wantCondition("Degraded", "True", "RolloutStalled")
	f.wantMessage("Degraded", "exceeded quota.")
}

func TestEdgesAreCreatedAndDeleted(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "api: {ingress: {host: farm.example.org, tlsSecretName: tls}}")
	f.bringUp()
	if got := f.node().Status.URL; got != "https://farm.example.org" {
		t.Errorf("the URL is %s", got)
	}
	f.edit(func(s *v1.DownstreamNodeSpec) { s.API.Ingress = nil; s.NetworkPolicy.Enabled = new(false) })
	f.settle()
	for name := range f.objects() {
		if strings.HasPrefix(name, "Ingress/") || strings.HasPrefix(name, "NetworkPolicy/") {
			t.Errorf("%s still exists", name)
		}
	}
}

// TestIPFamilies changes the IP families of a Service. The test's API server has both.
func TestIPFamilies(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "api: {service: {ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv6, IPv4]}}")
	want := func(policy corev1.IPFamilyPolicy, families ...corev1.IPFamily) {
		t.Helper()
		f.settle()
		s := &corev1.Service{}
		f.get(s, "node-api")
		if *s.Spec.IPFamilyPolicy != policy || !slices.Equal(s.Spec.IPFamilies, families) || len(s.Spec.ClusterIPs) != len(families) {
			t.Errorf("the Service is %s of %v with the addresses %v, want %s of %v", *s.Spec.IPFamilyPolicy, s.Spec.IPFamilies, s.Spec.ClusterIPs, policy, families)
		}
	}
	want(corev1.IPFamilyPolicyRequireDualStack, corev1.IPv6Protocol, corev1.IPv4Protocol)
	f.edit(func(s *v1.DownstreamNodeSpec) { s.API.Service.IPFamilyPolicy, s.API.Service.IPFamilies = nil, nil })
	want(corev1.IPFamilyPolicyRequireDualStack, corev1.IPv6Protocol, corev1.IPv4Protocol)
	f.edit(func(s *v1.DownstreamNodeSpec) {
		s.API.Service.IPFamilyPolicy, s.API.Service.IPFamilies = new(corev1.IPFamilyPolicySingleStack), []corev1.IPFamily{corev1.IPv6Protocol}
	})
	want(corev1.IPFamilyPolicySingleStack, corev1.IPv6Protocol)
	f.edit(func(s *v1.DownstreamNodeSpec) { s.API.Service.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol} })
	f.settle()
	f.wantCondition("Degraded", "True", "ApplyFailed")
	f.wantMessage("Degraded", "The API server refuses the Service node-api")
	f.ok(f.Delete(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "node-api"}}))
	want(corev1.IPFamilyPolicySingleStack, corev1.IPv4Protocol)
}

func TestMissingSecrets(t *testing.T) {
	t.Parallel()
	f := emptyFarm(t)
	f.createNode("")
	f.settle()
	f.wantCondition("Ready", "False", "SecretMissing")
	if sent := fmt.Sprint(f.events()); !strings.Contains(sent, "The Secret backends does not exist") {
		t.Errorf("the events are %s", sent)
	}
	f.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "backends"}, StringData: map[string]string{"dsn": "d"}})
	f.settle()
	f.wantCondition("Degraded", "True", "SecretMissing")
	f.ok(f.Update(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "backends"}, StringData: map[string]string{"dsn": "d", "url": "redis://r"}}))
	f.bringUp()
}
