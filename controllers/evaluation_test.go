package controllers_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/driveshare/downstream-node/api/v1alpha1"
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
	f.edit(func(s *v1alpha1.DownstreamNodeSpec) {
		s.MySQL = v1alpha1.MySQLSpec{DSNSecretRef: &v1alpha1.DSNRef{ObjectReference: v1alpha1.ObjectReference{Name: "backends"}, Key: "dsn"}}
	})
	f.settle()
	if f.find(&appsv1.StatefulSet{}, "node-mysql") || !f.find(&corev1.Secret{}, "node-mysql") {
		t.Error("the operator must delete the evaluation database and keep its password")
	}
}

func TestEvaluationSecretOfAnotherOwner(t *testing.T) {
	t.Parallel()
	f := emptyFarm(t)
	f.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "node-mysql"}})
	f.createNode(evaluation)
	f.settle()
	f.wantCondition("Degraded", "True", "OwnershipConflict")
}
