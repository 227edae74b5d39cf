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

	"github.com/driveshare/downstream-node/api/v1"
)

func newOperatorStatusCommand(access *clusterAccess) *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "operator",
		Short: "Show whether an operator is running",
		Long: "Shows which pod leads the operators of a namespace, by its lease. Exits with 1 if\n" +
			"no operator leads, or if the cluster does not know DownstreamNodes.",
		Example: "  kubectl downstream operator -n downstream-system",
		Args:    cobra.NoArgs,
	}
	cmd.Flags().DurationVar(&wait, "wait", 0, "wait up to this time for an operator")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := access.connect()
		if err != nil {
			return err
		}
		return waitFor(cmd.Context(), wait, func(ctx context.Context) error {
			return c.printOperator(ctx, cmd.OutOrStdout(), time.Now())
		})
	}
	return cmd
}

// operatorLease is the name of the Lease that the leading operator holds.
const operatorLease = "downstream-operator"

func (c *cluster) printOperator(ctx context.Context, w io.Writer, now time.Time) error {
	if err := c.List(ctx, &v1.DownstreamNodeList{}, client.InNamespace(c.namespace), client.Limit(1)); err != nil {
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

// leaderOf returns the holder of a lease, if the lease is still valid.
func leaderOf(lease *coordinationv1.Lease, now time.Time) (string, error) {
	spec := lease.Spec
	if spec.HolderIdentity == nil || *spec.HolderIdentity == "" || spec.RenewTime == nil || spec.LeaseDurationSeconds == nil {
		return "", errors.New("no operator leads: the last one has released its lease")
	}
	age := now.Sub(spec.RenewTime.Time)
	if age > time.Duration(*spec.LeaseDurationSeconds)*time.Second {
		return "", fmt.Errorf("no operator leads: %s renewed its lease %s ago", *spec.HolderIdentity, duration.HumanDuration(age))
	}
	return *spec.HolderIdentity, nil
}

// anyOperator looks for a leader in all namespaces, because a node does not name its
// operator. none is true if there is no leader, and false if the leases cannot be listed.
func (c *cluster) anyOperator(ctx context.Context, now time.Time) (text string, none bool) {
	var leases coordinationv1.LeaseList
	err := c.List(ctx, &leases, client.MatchingFields{"metadata.name": operatorLease})
	if apierrors.IsForbidden(err) {
		return "unknown (listing the leases of all namespaces is forbidden)", false
	}
	if err != nil {
		return fmt.Sprintf("unknown (%v)", err), false
	}
	text = "no operator has ever led on this cluster"
	for _, lease := range leases.Items {
		leader, err := leaderOf(&lease, now)
		if err == nil {
			return fmt.Sprintf("%s, in %s", leader, lease.Namespace), false
		}
		text = err.Error()
	}
	return text, true
}

// waitInterval is the time between two tries of waitFor.
const waitInterval = 2 * time.Second

// waitFor calls try until it returns nil or the time limit has passed. It
// returns the last error.
func waitFor(ctx context.Context, limit time.Duration, try func(context.Context) error) error {
	for deadline := time.Now().Add(limit); ; {
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
