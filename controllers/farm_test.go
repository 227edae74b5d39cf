package controllers_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers"
	"github.com/driveshare/downstream-node/internal/redisdb"
)

// farm is a namespace with a node and an operator that the test calls. The test
// does the work of kubelets and of Kubernetes' own controllers.
type farm struct {
	*cluster
	t        *testing.T
	operator *controllers.Reconciler
	recorder *events.FakeRecorder
	backlog  int64
	redis    redisdb.Options // the Redis from which the operator last read the backlog
	redisErr error
	clock    time.Time
	// readiness holds the response of each pod, by the address of its private port.
	readiness map[string]map[string]string
	// faults is the response of the API to GET /status/faults.
	faults       []controllers.Fault
	maintenances []controllers.Maintenance
	faultsErr    error
	faultReads   int
	keys         []controllers.Key // the response of the API to GET /status/keys
	// templates holds the pod template of each Deployment at its last call of run.
	templates map[string]string
}

const operatorImage = "example.org/downstream-node:v1"

// newFarm creates the Secret with the backends, and a node. The node has the minimal
// spec, with spec merged into it.
func newFarm(t *testing.T, spec string) *farm {
	t.Helper()
	f := emptyFarm(t)
	f.createBackends()
	f.createNode(spec)
	return f
}

// createBackends creates the Secret that the minimal spec names.
func (f *farm) createBackends() {
	f.t.Helper()
	f.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "backends"},
		StringData: map[string]string{"dsn": "u:p@tcp(mysql)/d", "url": "redis://redis", "unread": "x"},
	})
}

func emptyFarm(t *testing.T) *farm {
	t.Helper()
	f := &farm{
		cluster:   newCluster(t),
		t:         t,
		recorder:  events.NewFakeRecorder(1000),
		clock:     time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		templates: map[string]string{},
	}
	f.operator = f.newOperator(f.WithWatch)
	return f
}

func (f *farm) newOperator(c client.Client) *controllers.Reconciler {
	return &controllers.Reconciler{
		Client:       c,
		Live:         c,
		Recorder:     f.recorder,
		DefaultImage: operatorImage,
		Identity:     "system/operator",
		Backlog: func(_ context.Context, o redisdb.Options) (int64, error) {
			f.redis = o
			return f.backlog, f.redisErr
		},
		Readiness: func(_ context.Context, address string) (map[string]string, error) {
			if checks, ok := f.readiness[address]; ok {
				return checks, nil
			}
			return nil, errors.New("connection refused")
		},
		Faults: func(_ context.Context, address string) (controllers.Faults, error) {
			f.faultReads++
			if want := "node-api." + f.namespace + ".svc:80"; address != want {
				return controllers.Faults{}, fmt.Errorf("the operator asks %s, want %s", address, want)
			}
			return controllers.Faults{Faults: f.faults, Maintenances: f.maintenances}, f.faultsErr
		},
		Keys: func(context.Context, string) ([]controllers.Key, error) { return f.keys, nil },
		Now:  func() time.Time { return f.clock },
	}
}

func (f *farm) createNode(spec string) {
	f.t.Helper()
	// Merkle keys are fast to make.
	u := parse(f.t, strings.Replace(minimal, "spec:", "spec:\n  heartbeat: {type: Merkle}", 1), spec)
	u.SetNamespace(f.namespace)
	f.ok(f.Create(f.t.Context(), u))
}

func (f *farm) ok(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *farm) create(object client.Object) {
	f.t.Helper()
	object.SetNamespace(f.namespace)
	f.ok(f.Create(f.t.Context(), object))
}

// find reads an object and reports whether it exists.
func (f *farm) find(object client.Object, name string) bool {
	f.t.Helper()
	err := f.Get(f.t.Context(), client.ObjectKey{Namespace: f.namespace, Name: name}, object)
	if apierrors.IsNotFound(err) {
		return false
	}
	f.ok(err)
	return true
}

func (f *farm) get(object client.Object, name string) {
	f.t.Helper()
	if !f.find(object, name) {
		f.t.Fatalf("there is no %T %s", object, name)
	}
}

func (f *farm) node() *v1.DownstreamNode {
	f.t.Helper()
	node := &v1.DownstreamNode{}
	f.get(node, "node")
	return node
}

func (f *farm) deployment(name string) *appsv1.Deployment {
	f.t.Helper()
	d := &appsv1.Deployment{}
	f.get(d, name)
	return d
}

// edit changes the node's spec.
func (f *farm) edit(change func(*v1.DownstreamNodeSpec)) {
	f.t.Helper()
	node := f.node()
	before := client.MergeFrom(node.DeepCopy())
	change(&node.Spec)
	f.ok(f.Patch(f.t.Context(), node, before))
}

// reconcile runs one reconcile.
func (f *farm) reconcile() error {
	_, err := f.operator.Reconcile(f.t.Context(), f.request())
	return err
}

func (f *farm) request() ctrl.Request {
	return ctrl.Request{NamespacedName: client.ObjectKey{Namespace: f.namespace, Name: "node"}}
}

// settle runs reconciles until nothing changes any more. It also finishes the deletion
// of Jobs, as the garbage collector does.
func (f *farm) settle() {
	f.t.Helper()
	last := ""
	for range 20 {
		f.ok(f.reconcile())
		f.collect()
		versions := f.versions()
		if versions == last {
			return
		}
		last = versions
	}
	f.t.Fatal("the operator does not stop making changes")
}

// collect finishes foreground deletions, as the garbage collector does, and marks
// changed Deployments as read, as their controller does.
func (f *farm) collect() {
	f.t.Helper()
	jobs := &batchv1.JobList{}
	f.ok(f.List(f.t.Context(), jobs, client.InNamespace(f.namespace)))
	for i := range jobs.Items {
		if job := &jobs.Items[i]; !job.DeletionTimestamp.IsZero() && len(job.Finalizers) > 0 {
			job.Finalizers = nil
			f.ok(f.Update(f.t.Context(), job))
		}
	}
	deployments := &appsv1.DeploymentList{}
	f.ok(f.List(f.t.Context(), deployments, client.InNamespace(f.namespace)))
	for i := range deployments.Items {
		if d := &deployments.Items[i]; d.Status.ObservedGeneration < d.Generation {
			d.Status.ObservedGeneration = d.Generation
			if f.templates[d.Name] != d.Spec.Template.String() {
				d.Status.UpdatedReplicas = 0
			}
			if err := f.Status().Update(f.t.Context(), d); !apierrors.IsConflict(err) {
				f.ok(err)
			}
		}
	}
}

// children lists the kinds of objects that a node can have.
func children() []client.ObjectList {
	lists := []client.ObjectList{}
	for _, kind := range []string{
		"v1/Service", "v1/ConfigMap", "v1/Secret", "apps/v1/Deployment", "apps/v1/StatefulSet", "batch/v1/Job",
		"networking.k8s.io/v1/Ingress", "networking.k8s.io/v1/NetworkPolicy", "policy/v1/PodDisruptionBudget",
		"autoscaling/v2/HorizontalPodAutoscaler", "downstream.driveshare.org/v1/DownstreamNode",
	} {
		list := &metav1.PartialObjectMetadataList{}
		slash := strings.LastIndex(kind, "/")
		list.APIVersion, list.Kind = kind[:slash], kind[slash+1:]
		lists = append(lists, list)
	}
	return lists
}

// objects returns the objects of these kinds in the namespace. The keys have the form
// kind/name.
func (f *farm) objects() map[string]metav1.PartialObjectMetadata {
	f.t.Helper()
	objects := map[string]metav1.PartialObjectMetadata{}
	for _, list := range children() {
		f.ok(f.List(f.t.Context(), list, client.InNamespace(f.namespace)))
		for _, item := range list.(*metav1.PartialObjectMetadataList).Items {
			if item.Name != "kube-root-ca.crt" {
				kind := list.GetObjectKind().GroupVersionKind()
				kind.Kind = strings.TrimSuffix(kind.Kind, "List")
				item.SetGroupVersionKind(kind)
				objects[kind.Kind+"/"+item.Name] = item
			}
		}
	}
	return objects
}

// deleteNode deletes the node, and then its objects, as the garbage collector
// does.
func (f *farm) deleteNode() {
	f.t.Helper()
	f.ok(f.Delete(f.t.Context(), f.node()))
	for _, object := range f.objects() {
		if len(object.OwnerReferences) > 0 {
			f.ok(f.Delete(f.t.Context(), &object, client.PropagationPolicy(metav1.DeletePropagationBackground)))
		}
	}
}

// versions returns a text that changes when an object in the namespace changes.
func (f *farm) versions() string {
	return fmt.Sprint(mapped(f.objects(), func(o metav1.PartialObjectMetadata) string { return o.ResourceVersion }))
}

func mapped[K comparable, V, W any](m map[K]V, f func(V) W) map[K]W {
	out := make(map[K]W, len(m))
	for k, v := range m {
		out[k] = f(v)
	}
	return out
}

// jobOf returns the only Job of a role.
func (f *farm) jobOf(role string) *batchv1.Job {
	f.t.Helper()
	jobs := &batchv1.JobList{}
	f.ok(f.List(f.t.Context(), jobs, client.InNamespace(f.namespace), client.MatchingLabels{"app.kubernetes.io/component": role}))
	if len(jobs.Items) != 1 {
		f.t.Fatalf("there are %d %s Jobs, want one", len(jobs.Items), role)
	}
	return &jobs.Items[0]
}

// start sets a Job's status: one pod is running.
func (f *farm) start(job *batchv1.Job) {
	f.t.Helper()
	one, now := int32(1), metav1.Now()
	if job.Status.StartTime == nil {
		job.Status.StartTime = &now
	}
	job.Status.Active, job.Status.Ready = 1, &one
	f.ok(f.Status().Update(f.t.Context(), job))
}

// finish ends a Job with success or failure.
func (f *farm) finish(job *batchv1.Job, well bool) {
	f.t.Helper()
	f.finishFor(job, well, "", "so the test says")
}

// finishFor ends a Job with a reason and a message.
func (f *farm) finishFor(job *batchv1.Job, well bool, reason, message string) {
	f.t.Helper()
	now, zero := metav1.Now(), int32(0)
	if job.Status.StartTime == nil {
		job.Status.StartTime = &now
	}
	job.Status.Active, job.Status.Ready = 0, &zero
	add := func(conditions ...batchv1.JobConditionType) {
		for _, c := range conditions {
			job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{
				Type: c, Status: corev1.ConditionTrue, Reason: reason, Message: message, LastTransitionTime: now,
			})
		}
	}
	if well {
		job.Status.Succeeded, job.Status.CompletionTime = 1, &now
		add(batchv1.JobSuccessCriteriaMet, batchv1.JobComplete)
	} else {
		job.Status.Failed++
		add(batchv1.JobFailureTarget, batchv1.JobFailed)
	}
	f.ok(f.Status().Update(f.t.Context(), job))
}

// run makes every pod of a Deployment available.
func (f *farm) run(name string) {
	f.t.Helper()
	d := f.deployment(name)
	n := *d.Spec.Replicas
	d.Status = appsv1.DeploymentStatus{
		ObservedGeneration: d.Generation, Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n,
		Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: "True", Reason: "NewReplicaSetAvailable"}},
	}
	f.templates[name] = d.Spec.Template.String()
	f.ok(f.Status().Update(f.t.Context(), d))
}

// runDatabases makes the evaluation databases ready.
func (f *farm) runDatabases() {
	f.t.Helper()
	sets := &appsv1.StatefulSetList{}
	f.ok(f.List(f.t.Context(), sets, client.InNamespace(f.namespace)))
	for i := range sets.Items {
		sets.Items[i].Status = appsv1.StatefulSetStatus{ObservedGeneration: sets.Items[i].Generation, Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1}
		f.ok(f.Status().Update(f.t.Context(), &sets.Items[i]))
	}
}

// bringUp makes a new node ready.
func (f *farm) bringUp() {
	f.t.Helper()
	f.settle()
	f.runDatabases()
	f.settle()
	f.finish(f.jobOf("migration"), true)
	f.settle()
	f.run("node-api")
	f.run("node-workers")
	f.settle()
	f.wantCondition("Available", "True", "FarmersCanFarm")
	f.events()
}

func (f *farm) wantCondition(condition, status, reason string) {
	f.t.Helper()
	c := meta.FindStatusCondition(f.node().Status.Conditions, condition)
	if c == nil || string(c.Status) != status || c.Reason != reason {
		f.t.Fatalf("%s is %+v, want %s because of %s", condition, c, status, reason)
	}
}

// events returns the events since the last call.
func (f *farm) events() []string {
	var sent []string
	for {
		select {
		case e := <-f.recorder.Events:
			sent = append(sent, e)
		default:
			return sent
		}
	}
}
