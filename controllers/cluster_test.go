package controllers_test

import (
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
)

// cluster is a namespace of the test API server.
type cluster struct {
	client.WithWatch
	namespace string
}

func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1.AddToScheme} {
		if err := add(s); err != nil {
			panic(err)
		}
	}
	return s
}

// connect returns the client that all tests share. Each new client would
// request the API server's list of kinds.
var connect = sync.OnceValues(func() (client.WithWatch, error) {
	return client.NewWithWatch(config, client.Options{Scheme: newScheme()})
})

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c, err := connect()
	if err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	if err := c.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	return &cluster{WithWatch: c, namespace: ns.Name}
}
