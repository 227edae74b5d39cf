package plugin

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/driveshare/downstream-node/api/v1"
)

// forbid makes the cluster refuse lists for which refused is true, and the Secrets if it is
// true for a nil list.
func (c *cluster) forbid(refused func(list client.ObjectList, opt client.ListOptions) bool) {
	err := apierrors.NewForbidden(schema.GroupResource{Resource: "things"}, "", nil)
	c.Client = interceptor.NewClient(c.Client.(client.WithWatch), interceptor.Funcs{
		List: func(ctx context.Context, inner client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			var opt client.ListOptions
			if refused(list, *opt.ApplyOptions(options)) {
				return err
			}
			return inner.List(ctx, list, options...)
		},
		Get: func(ctx context.Context, inner client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			if _, secret := object.(*corev1.Secret); secret && refused(nil, client.ListOptions{}) {
				return err
			}
			return inner.Get(ctx, key, object, options...)
		},
	})
}

func TestNodesOfAllNamespaces(t *testing.T) {
	t.Parallel()
	node := readyNode()
	node.CreationTimestamp = metav1.NewTime(seenAt.Add(-26 * time.Hour))
	node.Status.Conditions = append(node.Status.Conditions, condition(v1.Paused, metav1.ConditionFalse, "NotPaused", ""))
	other := &v1.DownstreamNode{ObjectMeta: metav1.ObjectMeta{Name: "other", Namespace: "elsewhere", CreationTimestamp: metav1.NewTime(seenAt.Add(-time.Minute))}}
	const heading, farm = `
NAMESPACE  NAME   READY  REASON     API  WORKERS  BACKLOG  PAUSED  AGE`, `
storage    farm   True   Available  2    3        7        False   26h
`
	const all = heading + `
elsewhere  other  -      -          0    0        -        -       60s` + farm
	one := strings.ReplaceAll(heading+farm, "farm   ", "farm  ")
	one = strings.ReplaceAll(one, "NAME   ", "NAME  ")
	for name, tt := range map[string]struct {
		named, forbidden bool
		objects          []client.Object
		says, warns      string
	}{
		"all namespaces":                      {false, false, []client.Object{node, other}, all, ""},
		"a named namespace":                   {true, false, []client.Object{node, other}, one, ""},
		"listing all namespaces is forbidden": {false, true, []client.Object{node, other}, one, "You may not list the nodes of all namespaces. These are the nodes of storage; -n names another namespace.\n"},
		"no node":                             {false, false, nil, "\n", "No DownstreamNodes found.\n"},
	} {
		c := newTestCluster(t, nil, tt.objects...)
		c.named = tt.named
		if tt.forbidden {
			c.forbid(func(list client.ObjectList, opt client.ListOptions) bool { return list != nil && opt.Namespace == "" })
		}
		var out, errs strings.Builder
		if err := c.printNodes(t.Context(), &out, &errs, seenAt); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := "\n" + out.String(); got != tt.says || errs.String() != tt.warns {
			t.Errorf("%s: got%s\nand %q\nwant%s\nand %q", name, got, &errs, tt.says, tt.warns)
		}
	}
	c := newTestCluster(t, nil)
	c.forbid(func(list client.ObjectList, _ client.ListOptions) bool { return list != nil })
	if err := c.printNodes(t.Context(), &strings.Builder{}, &strings.Builder{}, seenAt); err == nil || !strings.Contains(err.Error(), "list DownstreamNodes: ") {
		t.Errorf("one that may list none: %v", err)
	}
}
