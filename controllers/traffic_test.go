package controllers_test

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers"
)

// counted returns the operator with clients that count its requests to the API server.
// The operator's Client reads from a cache, so only its writes count.
func (f *farm) counted() (operator *controllers.Reconciler, requests *int) {
	requests = new(int)
	operator = f.newOperator(interceptor.NewClient(f.WithWatch, interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, object runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			*requests++
			return c.Apply(ctx, object, options...)
		},
		SubResourceApply: func(ctx context.Context, c client.Client, sub string, object runtime.ApplyConfiguration, options ...client.SubResourceApplyOption) error {
			*requests++
			return c.SubResource(sub).Apply(ctx, object, options...)
		},
	}))
	operator.Live = interceptor.NewClient(f.WithWatch, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			*requests++
			return c.Get(ctx, key, object, options...)
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			*requests++
			return c.List(ctx, list, options...)
		},
	})
	return operator, requests
}

// TestIdleTraffic counts the requests for a node that waits for a Secret.
func TestIdleTraffic(t *testing.T) {
	t.Parallel()
	f := emptyFarm(t)
	f.createNode("")
	f.settle()
	f.wantCondition("Degraded", "True", "SecretMissing")
	operator, requests := f.counted()
	result, err := operator.Reconcile(t.Context(), f.request())
	f.ok(err)
	if *requests == 0 {
		t.Fatal("no request was counted")
	}
	if perMinute := float64(*requests) / result.RequeueAfter.Minutes(); perMinute > 2 {
		t.Errorf("%d requests each %v, which is %.1f a minute", *requests, result.RequeueAfter, perMinute)
	}
}

// TestSecretIsNoticed creates the Secret that a node waits for. The watch must report it.
func TestSecretIsNoticed(t *testing.T) {
	t.Parallel()
	f := emptyFarm(t)
	startManager(t, f.asOperator(), f.namespace)
	f.createNode("")
	eventually(t, "a problem", func() bool {
		c := meta.FindStatusCondition(f.node().Status.Conditions, v1.Degraded)
		return c != nil && c.Reason == controllers.ReasonSecretMissing
	})
	start := time.Now()
	f.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "backends"}, StringData: map[string]string{"dsn": "d", "url": "redis://r"}})
	eventually(t, "a migration Job", func() bool { return f.jobOfOrNil("migration") != nil })
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
}
