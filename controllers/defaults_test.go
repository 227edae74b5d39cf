package controllers_test

import (
	"context"
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/diff"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers"
)

// TestDefaultsAreThoseOfTheAPIServer compares the operator's defaults with what the API
// server makes of the same spec.
func TestDefaultsAreThoseOfTheAPIServer(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	for name, spec := range map[string]string{
		"minimal":       "",
		"evaluation":    evaluation,
		"whitelist":     "whitelist: {configMapRef: {name: list}}",
		"autoscaling":   "api: {autoscaling: {max: 4}}\nworkers: {autoscaling: {max: 4}}",
		"geoip":         "geoip: {volumeClaim: {claimName: geo}}",
		"own-key":       "heartbeat: {keySecretRef: {name: key}}",
		"templates":     "jobs: {podTemplate: {spec: {securityContext: {runAsUser: null}, priority: 5, containers: [{name: job}]}}}\nopenshift: false",
		"no-limits":     "workers: {resources: {}}\ninventory: {}\nheartbeat: {}",
		"explicit-zero": "api: {replicas: 0, drainDelaySeconds: 0}\naccess: {signatures: false}\ninventory: {totalSize: '0'}",
	} {
		u := parse(t, minimal, spec)
		u.SetNamespace(c.namespace)
		u.SetName(name)
		raw := &v1.DownstreamNode{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, raw); err != nil {
			t.Fatal(err)
		}
		if err := c.Create(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		live := &v1.DownstreamNode{}
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(u), live); err != nil {
			t.Fatal(err)
		}
		for from, node := range map[string]*v1.DownstreamNode{"the manifest": raw, "the API server's defaults": live.DeepCopy()} {
			if err := controllers.SetDefaults(&node.Spec); err != nil {
				t.Fatal(err)
			}
			// The fields of resources have no defaults. No CRD lacked them.
			node.Spec.API.Resources, node.Spec.Workers.Resources = live.Spec.API.Resources, live.Spec.Workers.Resources
			if e := node.Spec.MySQL.Evaluation; e != nil {
				e.Resources, node.Spec.Redis.Evaluation.Resources = live.Spec.MySQL.Evaluation.Resources, live.Spec.Redis.Evaluation.Resources
			}
			if !equality.Semantic.DeepEqual(node.Spec, live.Spec) {
				t.Errorf("%s: from %s the operator makes\n%s", name, from, diff.Diff(live.Spec, node.Spec))
			}
		}
	}
}

// TestOlderCRD runs a node on a cluster whose CRD lacks fields of this operator's version.
// The API server then neither sets their defaults nor stores the claim.
func TestOlderCRD(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	// The status lacks the backlog for a moment, while the operator writes its claim.
	versions := func() string {
		objects := f.objects()
		delete(objects, "DownstreamNode/node")
		return fmt.Sprint(mapped(objects, func(o metav1.PartialObjectMetadata) string { return o.ResourceVersion }))
	}
	before := versions()
	f.operator = f.newOperator(interceptor.NewClient(f.WithWatch, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			err := c.Get(ctx, key, object, options...)
			if node, ok := object.(*v1.DownstreamNode); ok {
				node.Spec.Contracts = v1.ContractsSpec{}
				node.Spec.Inventory.Encoders, node.Spec.Redis.MaxQueue = 0, 0
				node.Spec.API.Service = v1.ServiceSpec{}
				node.Status.Operator = nil
			}
			return err
		},
	}))
	f.settle()
	if after := versions(); after != before {
		t.Errorf("the objects were\n%s\nand are\n%s", before, after)
	}
}
