package plugin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
)

// printNodes lists the nodes of all namespaces, with the columns of `kubectl get dn -A`. If a
// flag names a namespace, or if the user may not list all, it lists the nodes of one.
func (c *cluster) printNodes(ctx context.Context, out, errs io.Writer, now time.Time) error {
	nodes, err := c.visibleNodes(ctx, errs)
	if err != nil {
		return fmt.Errorf("list DownstreamNodes: %w", err)
	}
	if len(nodes) == 0 {
		fmt.Fprintln(errs, "No DownstreamNodes found.")
		return nil
	}
	slices.SortFunc(nodes, func(a, b v1.DownstreamNode) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAMESPACE\tNAME\tREADY\tREASON\tAPI\tWORKERS\tBACKLOG\tPAUSED\tAGE")
	for _, node := range nodes {
		backlog := "-"
		if jobs := node.Status.Backlog; jobs != nil {
			backlog = fmt.Sprint(*jobs)
		}
		ready, reason := conditionOf(&node, v1.Ready)
		paused, _ := conditionOf(&node, v1.Paused)
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\n", node.Namespace, node.Name, ready, reason,
			node.Status.API.ReadyReplicas, node.Status.Workers.ReadyReplicas, backlog, paused,
			duration.HumanDuration(now.Sub(node.CreationTimestamp.Time)))
	}
	return table.Flush()
}

// visibleNodes returns the nodes of all namespaces, or of one.
func (c *cluster) visibleNodes(ctx context.Context, errs io.Writer) ([]v1.DownstreamNode, error) {
	var nodes v1.DownstreamNodeList
	if !c.named {
		err := c.List(ctx, &nodes)
		if !apierrors.IsForbidden(err) {
			return nodes.Items, err
		}
		fmt.Fprintf(errs, "You may not list the nodes of all namespaces. These are the nodes of %s; -n names another namespace.\n", c.namespace)
	}
	err := c.List(ctx, &nodes, client.InNamespace(c.namespace))
	return nodes.Items, err
}

// conditionOf returns the status and the reason of a condition.
func conditionOf(node *v1.DownstreamNode, kind string) (status, reason string) {
	condition := meta.FindStatusCondition(node.Status.Conditions, kind)
	if condition == nil {
		return "-", "-"
	}
	return string(condition.Status), cmp.Or(condition.Reason, "-")
}
