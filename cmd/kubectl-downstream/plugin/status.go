package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/utils/ptr"

	"github.com/driveshare/downstream-node/api/v1"
)

func newNodeStatusCommand(access *clusterAccess) *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "status NAME",
		Short: "Show the state of a node on one screen",
		Long: "Shows a node's conditions, replicas, backlog, the age of the oldest waiting proof, the\n" +
			"number of farmers online, the leading operator, and why a pod is not ready. Exits\n" +
			"with 1 if the node is not ready.\n\n" +
			"Some figures come from pods, through the API server's proxy. You need the rights to\n" +
			"list pods and leases, and to get pods/proxy and services/proxy.",
		Example: "  kubectl downstream status downstream -n storage",
		RunE: onNode(access, func(ctx context.Context, cmd *cobra.Command, c *cluster, name string) error {
			// Ignore the error: printStatus shows the state after the wait.
			_ = waitFor(ctx, wait, func(ctx context.Context) error {
				node, err := c.node(ctx, name)
				if err != nil {
					return err
				}
				if ready, _ := readiness(node); !ready {
					return errNotReady
				}
				return nil
			})
			return c.printStatus(ctx, cmd.OutOrStdout(), name, time.Now())
		}),
	}
	cmd.Flags().DurationVar(&wait, "wait", 0, "wait up to this time until the node is ready, then show it")
	return cmd
}

// errNotReady ends the status command with exit status 1. It has no text, because
// printStatus prints the reason.
var errNotReady = errors.New("")

func (c *cluster) printStatus(ctx context.Context, w io.Writer, name string, now time.Time) error {
	node, err := c.node(ctx, name)
	if err != nil {
		return err
	}
	fromPods, cancel := context.WithTimeout(ctx, podTimeout)
	defer cancel()
	oldest, online := orUnknown(c.oldestWaiting(fromPods, node)), orUnknown(c.farmersOnline(fromPods, node))
	ready, why := readiness(node)
	operator, none := c.anyOperator(ctx, now)
	if ready && none {
		why += " at the last check; no operator is running now"
	}

	backlog, autoscaled := "unknown", ""
	if jobs := node.Status.Backlog; jobs != nil {
		backlog = fmt.Sprintf("%d jobs", *jobs)
	}
	if a := node.Spec.Workers.Autoscaling; a != nil {
		autoscaled = fmt.Sprintf(", autoscaled from %d to %d", ptr.Deref(a.Min, 1), a.Max)
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "%s/%s\t%s\n", node.Namespace, node.Name, why)
	fmt.Fprintf(out, "URL\t%s\n", cmp.Or(node.Status.URL, "-"))
	fmt.Fprintf(out, "API\t%d of %s ready\n", node.Status.API.ReadyReplicas, desiredAPI(node))
	fmt.Fprintf(out, "Workers\t%d of %d ready%s\n", node.Status.Workers.ReadyReplicas, node.Status.Workers.DesiredReplicas, autoscaled)
	fmt.Fprintf(out, "Backlog\t%s\n", backlog)
	fmt.Fprintf(out, "Oldest waiting\t%s\n", oldest)
	fmt.Fprintf(out, "Farmers online\t%s\n", online)
	fmt.Fprintf(out, "Operator\t%s\n", operator)
	fmt.Fprintf(out, "Heartbeat key\t%s\n", cmp.Or(node.Status.HeartbeatKey.SecretName, "-"))
	if node.Spec.Backup != nil {
		fmt.Fprintf(out, "Last backup\t%s\n", lastBackup(node, now))
	}
	if err := out.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if err := printConditions(w, node.Status.Conditions, now); err != nil {
		return err
	}
	for _, line := range c.unready(ctx, node) {
		fmt.Fprintf(w, "\n%s\n", line)
	}
	if !ready {
		return errNotReady
	}
	return nil
}

// readiness reports whether the node is ready, and summarises the reason. A
// condition for an older generation does not count.
func readiness(node *v1.DownstreamNode) (bool, string) {
	condition := meta.FindStatusCondition(node.Status.Conditions, v1.Ready)
	switch {
	case condition == nil:
		return false, "no operator has checked it yet"
	case node.Status.ObservedGeneration < node.Generation:
		return false, "edited, and no operator has checked it since"
	case condition.Status != metav1.ConditionTrue:
		return false, "not ready: " + condition.Reason
	case meta.IsStatusConditionTrue(node.Status.Conditions, v1.Paused):
		return true, "ready, paused"
	}
	return true, "ready"
}

// lastBackup says when the last good backup was made, and whether a later one failed.
func lastBackup(node *v1.DownstreamNode, now time.Time) string {
	b := node.Status.Backup
	if b == nil || b.LastSuccess == nil && b.LastFailure == nil {
		return "none yet"
	}
	text := "none"
	if b.LastSuccess != nil {
		text = fmt.Sprintf("%s, %s ago", b.LastSuccess.UTC().Format(time.RFC3339), duration.HumanDuration(now.Sub(b.LastSuccess.Time)))
	}
	if b.Message != "" {
		text += "; a later one failed: " + b.Message
	}
	return text
}

func desiredAPI(node *v1.DownstreamNode) string {
	if a := node.Spec.API.Autoscaling; a != nil {
		return fmt.Sprintf("%d to %d", a.Min, a.Max)
	}
	return fmt.Sprint(ptr.Deref(node.Spec.API.Replicas, node.Status.API.Replicas))
}

// orUnknown returns text. If err is not nil, it returns why the text is unknown.
func orUnknown(text string, err error) string {
	if err != nil {
		return fmt.Sprintf("unknown (%v)", err)
	}
	return text
}

// printConditions prints the operator's conditions, then the other conditions by name.
func printConditions(w io.Writer, conditions []metav1.Condition, now time.Time) error {
	place := func(c metav1.Condition) int {
		if i := slices.Index(v1.ConditionTypes, c.Type); i >= 0 {
			return i
		}
		return len(v1.ConditionTypes)
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "CONDITION\tSTATUS\tFOR\tREASON\tMESSAGE")
	for _, c := range slices.SortedFunc(slices.Values(conditions), func(a, b metav1.Condition) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a.Type, b.Type))
	}) {
		age := duration.HumanDuration(now.Sub(c.LastTransitionTime.Time))
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\n", c.Type, c.Status, age, c.Reason, c.Message)
	}
	return out.Flush()
}
