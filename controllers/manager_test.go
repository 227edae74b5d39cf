package controllers_test

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers"
	"github.com/driveshare/downstream-node/internal/redisdb"
	"github.com/driveshare/downstream-node/internal/testenv"
)

// startManager runs the operator until the test ends. The difference to production: the
// operator manages only one namespace and does not use leader election.
func startManager(t *testing.T, cfg *rest.Config, namespace string) {
	t.Helper()
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme:  newScheme(),
		Cache:   cache.Options{DefaultNamespaces: map[string]cache.Config{namespace: {}}},
		Metrics: metricsserver.Options{BindAddress: "0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &controllers.Reconciler{
		Client:       mgr.GetClient(),
		Live:         mgr.GetAPIReader(),
		Recorder:     mgr.GetEventRecorder(controllers.FieldOwner),
		DefaultImage: operatorImage,
		Identity:     "system/operator",
		Backlog:      func(context.Context, redisdb.Options) (int64, error) { return 0, nil },
		Readiness:    controllers.ReadReadiness,
		Faults:       controllers.ReadFaults,
		Keys:         controllers.ReadKeys,
	}
	if err := r.SetupWithManager(mgr, controller.Options{SkipNameValidation: new(true)}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the operator ended with %v", err)
		}
	})
}

var eventually = testenv.WaitFor

// TestManager runs the operator in one namespace with exactly the permissions
// of config/rbac. It checks that they are enough, that every watch works, and
// that the operator ignores another namespace.
func TestManager(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "mysql: {dsnSecretRef: null, connection: {hosts: [mysql], database: d, username: u, passwordSecretRef: {name: login}}}")
	f.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "login"}, StringData: map[string]string{"password": "p"}})
	startManager(t, f.asOperator(), f.namespace)
	other := newFarm(t, "")
	job := func() bool { return f.jobOfOrNil("migration") != nil }
	eventually(t, "a migration Job", job)
	f.finish(f.jobOf("migration"), true)
	hasDeployments := func() bool {
		d := &metav1.PartialObjectMetadata{}
		d.SetGroupVersionKind(f.deploymentKind())
		return f.find(d, "node-api") && f.find(d, "node-workers")
	}
	eventually(t, "Deployments when the Job has completed", hasDeployments)
	f.run("node-api")
	f.run("node-workers")
	eventually(t, "Ready when the Deployments are available", func() bool {
		return meta.IsStatusConditionTrue(f.node().Status.Conditions, v1.Ready)
	})
	before := f.deployment("node-api").Generation
	f.ok(f.Patch(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "backends"}},
		client.RawPatch("application/merge-patch+json", []byte(`{"stringData":{"url":"redis://other"}}`))))
	eventually(t, "new pods when the Redis URL has changed", func() bool { return f.deployment("node-api").Generation > before })
	migration := f.jobOf("migration").Name
	f.ok(f.Patch(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "login"}},
		client.RawPatch("application/merge-patch+json", []byte(`{"stringData":{"password":"other"}}`))))
	eventually(t, "another migration Job when the password has changed", func() bool {
		f.collect()
		next := f.jobOfOrNil("migration")
		return next != nil && next.Name != migration
	})
	f.finish(f.jobOf("migration"), true)
	f.ok(f.Delete(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "node-api"}}))
	eventually(t, "the Service when it was deleted", func() bool { return f.find(&corev1.Service{}, "node-api") })
	f.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "list"}, Data: map[string]string{"whitelist.csv": "a\n"}})
	f.edit(func(s *v1.DownstreamNodeSpec) {
		s.Whitelist = &v1.WhitelistSpec{ConfigMapRef: v1.WhitelistRef{ObjectReference: v1.ObjectReference{Name: "list"}, Key: "whitelist.csv"}}
	})
	eventually(t, "a whitelist Job", func() bool { return f.jobOfOrNil("whitelist") != nil })
	first := f.jobOf("whitelist").Name
	f.ok(f.Patch(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "list"}},
		client.RawPatch("application/merge-patch+json", []byte(`{"data":{"whitelist.csv":"b\n"}}`))))
	eventually(t, "another whitelist Job when the list has changed", func() bool {
		f.collect()
		next := f.jobOfOrNil("whitelist")
		return next != nil && next.Name != first
	})
	if got := other.shape(); len(got) != 2 {
		t.Errorf("another namespace has the objects %v", got)
	}
}
