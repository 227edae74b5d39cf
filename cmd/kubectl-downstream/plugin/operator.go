package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1alpha1"
)

func newOperatorStatusCommand(access *clusterAccess) *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "operator",
		Short: "Say whether an operator is at work",
		Long: "Says which pod leads the operators of a namespace, by the lease that it holds, and\n" +
			"that the cluster knows DownstreamNodes. Exits with 1 where either is not so.",
		Example: "  kubectl downstream operator -n downstream-system",
		Args:    cobra.NoArgs,
	}
	cmd.Flags().DurationVar(&wait, "wait", 0, "wait so long for an operator")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := access.connect()
		if err != nil {
			return fmt.Errorf("reach the cluster: %w", err)
		}
		return waitFor(cmd.Context(), wait, func(ctx context.Context) error {
			return c.printOperator(ctx, cmd.OutOrStdout(), time.Now())
		})
	}
	return cmd
}

// operatorLease is the name of the Lease by which one operator of several leads.
const operatorLease = "downstream-operator"

func (c *cluster) printOperator(ctx context.Context, w io.Writer, now time.Time) error {
	if err := c.List(ctx, &v1alpha1.DownstreamNodeList{}, client.InNamespace(c.namespace), client.Limit(1)); err != nil {
		return fmt.Errorf("list DownstreamNodes: %w", err)
	}
	lease := &coordinationv1.Lease{}
	err := c.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: operatorLease}, lease)
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("no operator has ever led in the namespace %s", c.namespace)
	}
	if err != nil {
		return err
	}
	leader, err := leaderOf(lease, now)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "led by %s\n", leader)
	return nil
}

// leaderOf is who leads by a lease.
func leaderOf(lease *coordinationv1.Lease, now time.Time) (string, error) {
	spec := lease.Spec
	if spec.HolderIdentity == nil || *spec.HolderIdentity == "" || spec.RenewTime == nil || spec.LeaseDurationSeconds == nil {
		return "", errors.New("no operator leads: the last one has given up its lease")
	}
	age := now.Sub(spec.RenewTime.Time)
	if age > time.Duration(*spec.LeaseDurationSeconds)*time.Second {
		return "", fmt.Errorf("no operator leads: %s renewed its lease %s ago", *spec.HolderIdentity, duration.HumanDuration(age))
	}
	return *spec.HolderIdentity, nil
}

// anyOperator says who leads in any namespace, for a node does not tell who
// looks after it. Where the leases may not be listed, it is not known.
func (c *cluster) anyOperator(ctx context.Context, now time.Time) (says string, none bool) {
	var leases coordinationv1.LeaseList
	err := c.List(ctx, &leases, client.MatchingFields{"metadata.name": operatorLease})
	if apierrors.IsForbidden(err) {
		return "unknown (listing the leases of all namespaces is forbidden)", false
	}
	if err != nil {
		return fmt.Sprintf("unknown (%v)", err), false
	}
	says = "no operator has ever led on this cluster"
	for _, lease := range leases.Items {
		leader, err := leaderOf(&lease, now)
		if err == nil {
			return fmt.Sprintf("%s, in %s", leader, lease.Namespace), false
		}
		says = err.Error()
	}
	return says, true
}

// waitInterval is how often something that is waited for is looked at.
const waitInterval = 2 * time.Second

// waitFor tries until there is no error, for so long at most, and gives the
// last error.
func waitFor(ctx context.Context, long time.Duration, try func(context.Context) error) error {
	for deadline := time.Now().Add(long); ; {
		err := try(ctx)
		if err == nil || !time.Now().Add(waitInterval).Before(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(waitInterval):
		}
	}
}
