package controllers_test

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
)

const evaluation = "mysql: {dsnSecretRef: null, evaluation: {}}\nredis: {urlSecretRef: null, evaluation: {}}"

func TestEvaluationDatabases(t *testing.T) {
	t.Parallel()
	f := emptyFarm(t)
	f.createNode(evaluation)
	f.bringUp()
	for _, name := range []string{"node-mysql", "node-redis"} {
		f.get(&appsv1.StatefulSet{}, name)
		f.get(&corev1.Service{}, name)
		secret := &corev1.Secret{}
		f.get(secret, name)
		if len(secret.OwnerReferences) > 0 {
			t.Errorf("the Secret %s has an owner, but its volume does not", name)
		}
	}
	secret := &corev1.Secret{}
	f.get(secret, "node-mysql")
	if want := "@tcp(node-mysql." + f.namespace + ".svc:3306)/downstream"; !strings.Contains(string(secret.Data["dsn"]), want) {
		t.Errorf("the data source name lacks %s", want)
	}
	// A node that is created again uses the old volumes, so it needs the old
	// passwords.
	f.deleteNode()
	f.createNode(evaluation)
	f.bringUp()
	again := &corev1.Secret{}
	f.get(again, "node-mysql")
	if again.UID != secret.UID {
		t.Error("the passwords were replaced")
	}
	f.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "backends"}, StringData: map[string]string{"dsn": "d", "url": "redis://r"}})
	f.edit(func(s *v1.DownstreamNodeSpec) {
		s.MySQL = v1.MySQLSpec{DSNSecretRef: &v1.DSNRef{ObjectReference: v1.ObjectReference{Name: "backends"}, Key: "dsn"}}
	})
	f.settle()
	if f.find(&appsv1.StatefulSet{}, "node-mysql") || !f.find(&corev1.Secret{}, "node-mysql") {
		t.Error("the operator must delete the evaluation database and keep its password")
	}
}

// TestEvaluationThatDoesNotRun checks that the first migration waits for its database, and
// that the status says why a database does not run.
func TestEvaluationThatDoesNotRun(t *testing.T) {
	t.Parallel()
	f := emptyFarm(t)
	f.createNode(evaluation)
	f.settle()
	f.wantCondition("SchemaMigrated", "False", "MigrationWaiting")
	f.wantMessage("SchemaMigrated", "Waiting until the evaluation MySQL is ready.")
	if f.jobOfOrNil("migration") != nil {
		t.Error("a migration runs without a database")
	}
	set := &appsv1.StatefulSet{}
	f.get(set, "node-mysql")
	f.warn(set, "StatefulSet", "FailedCreate", "exceeded quota: pods=0")
	f.settle()
	f.wantCondition("Degraded", "True", "PodsRefused")
	f.wantMessage("Ready", "The evaluation MySQL does not run: the pods of the StatefulSet node-mysql cannot be created: FailedCreate: exceeded quota: pods=0.")
	pod := f.podWith(nil, set.Spec.Template, func(s *corev1.PodStatus) {
		s.ContainerStatuses = nil
		s.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: "False", Reason: "Unschedulable", Message: "pod has unbound immediate PersistentVolumeClaims"}}
	})
	result, err := f.operator.Reconcile(t.Context(), f.request())
	f.ok(err)
	if result.RequeueAfter > 15*time.Second {
		t.Errorf("the operator looks again after %v", result.RequeueAfter)
	}
	f.wantCondition("Degraded", "True", "PodUnschedulable")
	f.wantMessage("Degraded", "pod has unbound immediate PersistentVolumeClaims")
	f.ok(f.Delete(t.Context(), pod, client.GracePeriodSeconds(0)))
	f.runDatabases()
	f.bringUp()
	f.wantCondition("Degraded", "False", "AsExpected")
}

func TestEvaluationSecretOfSomebodyElse(t *testing.T) {
	t.Parallel()
	f := emptyFarm(t)
	f.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "node-mysql"}})
	f.createNode(evaluation)
	f.settle()
	f.wantCondition("Degraded", "True", "OwnershipConflict")
}
