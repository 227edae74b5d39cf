package controllers_test

import (
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"

	"github.com/driveshare/downstream-node/controllers"
)

// TestOnOpenShift asks the cluster before and after it has OpenShift's API group. No other
// test asks.
func TestOnOpenShift(t *testing.T) {
	t.Parallel()
	d, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	want := func(want bool) {
		t.Helper()
		if got, err := controllers.OnOpenShift(d); got != want || err != nil {
			t.Errorf("%t, %v; want %t", got, err, want)
		}
	}
	want(false)
	install(t, "security.openshift.io", "v1", "SecurityContextConstraints")
	want(true)
}

type noGroups struct{}

func (noGroups) ServerGroups() (*metav1.APIGroupList, error) { return nil, errors.New("timeout") }

// TestUnknownCluster must not guess: a wrong guess would replace all pods.
func TestUnknownCluster(t *testing.T) {
	t.Parallel()
	if _, err := controllers.OnOpenShift(noGroups{}); err == nil {
		t.Error("there is no error")
	}
}
