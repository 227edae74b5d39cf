package controllers_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/driveshare/downstream-node/api/v1"
)

// TestRefusedObject asks for a resource that no container can have. The CRD's schema
// accepts it, but the API server refuses the Deployment.
func TestRefusedObject(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "api: {resources: {requests: {bananas: 1}}}")
	f.settle()
	f.finish(f.jobOf("migration"), true)
	f.settle()
	f.wantCondition("Degraded", "True", "ApplyFailed")
	f.wantCondition("Ready", "False", "ApplyFailed")
	f.wantCondition("Progressing", "False", "AsExpected")
	if message := f.message("Degraded"); !strings.Contains(message, "Deployment node-api") || !strings.Contains(message, "bananas") {
		t.Errorf("the message is %s", message)
	}
	before := f.versions()
	for range 10 {
		f.ok(f.reconcile())
	}
	if f.versions() != before {
		t.Error("a repeated refusal changes an object")
	}
	warnings := 0
	for _, event := range f.events() {
		if strings.HasPrefix(event, "Warning ApplyFailed") {
			warnings++
		}
	}
	if warnings != 1 {
		t.Errorf("%d warnings were sent, want one", warnings)
	}
	f.edit(func(s *v1.DownstreamNodeSpec) {
		delete(s.API.Resources.Requests, "bananas")
	})
	f.bringUpAgain()
	f.wantCondition("Available", "True", "FarmersCanFarm")
	f.wantCondition("Degraded", "False", "AsExpected")
}

// TestWhichFailuresAreReported makes an apply fail with different errors.
// Degraded reports only the errors that a retry does not solve.
func TestWhichFailuresAreReported(t *testing.T) {
	t.Parallel()
	services := schema.GroupResource{Resource: "services"}
	for _, tt := range []struct {
		name     string
		err      error
		reported bool
	}{
		{"a quota", apierrors.NewForbidden(services, "node-api", errors.New("exceeded quota: "+strings.Repeat("ü", 5000))), true},
		{"a webhook", apierrors.NewBadRequest("admission webhook denied the request"), true},
		{"invalid", apierrors.NewInvalid(schema.GroupKind{Kind: "Service"}, "node-api", nil), true},
		{"a conflict", apierrors.NewConflict(services, "node-api", errors.New("it has changed")), false},
		{"a timeout", apierrors.NewServerTimeout(services, "patch", 1), false},
		{"no connection", errInjected, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFarm(t, "")
			f.bringUp()
			f.operator.Client = interceptor.NewClient(f.WithWatch, interceptor.Funcs{
				Apply: func(context.Context, client.WithWatch, runtime.ApplyConfiguration, ...client.ApplyOption) error {
					return tt.err
				},
			})
			_ = f.reconcile() // a temporary error is returned, so that the reconcile is retried soon
			degraded := meta.FindStatusCondition(f.node().Status.Conditions, "Degraded")
			if reported := degraded.Reason == "ApplyFailed"; reported != tt.reported {
				t.Errorf("Degraded is %+v", degraded)
			}
			if len(degraded.Message) > 1000 {
				t.Errorf("the message has %d bytes", len(degraded.Message))
			}
			f.wantCondition("Available", "True", "FarmersCanFarm")
		})
	}
}

func (f *farm) message(condition string) string {
	f.t.Helper()
	return meta.FindStatusCondition(f.node().Status.Conditions, condition).Message
}
