package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
)

// maxMaintenance is the limit of the CRD.
const maxMaintenance = 168 * time.Hour

// maintenanceNotice is how long it can take until the operator's Job has announced a
// maintenance and all processes of the node know of it.
const maintenanceNotice = 30 * time.Second

func newMaintenanceCommand(access *clusterAccess) *cobra.Command {
	var in, length time.Duration
	var reason string
	var cancel bool
	cmd := &cobra.Command{
		Use:   "maintenance NAME --in DURATION --for DURATION",
		Short: "Announce a maintenance of a node, or cancel it",
		Long: "Announces a maintenance: sets spec.maintenance. A challenge that is issued from then on and\n" +
			"would be due in the maintenance is due after it. --cancel removes spec.maintenance, which\n" +
			"cancels the maintenance, or ends it if it has begun.",
	}
	flags := cmd.Flags()
	flags.DurationVar(&in, "in", 0, fmt.Sprintf("how long until it starts, counted from %v from now, when all pods know of it", maintenanceNotice))
	flags.DurationVar(&length, "for", 0, "how long it takes")
	flags.StringVar(&reason, "reason", "", "what the status page says about it")
	flags.BoolVar(&cancel, "cancel", false, "cancel the maintenance, or end it if it has begun")
	cmd.MarkFlagsOneRequired("for", "cancel")
	for _, flag := range []string{"in", "for", "reason"} {
		cmd.MarkFlagsMutuallyExclusive(flag, "cancel")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var m *v1.MaintenanceSpec
		if !cancel {
			if in < 0 {
				return errors.New("--in must not be negative")
			}
			if length = length.Truncate(time.Second); length <= 0 || length > maxMaintenance {
				return fmt.Errorf("--for must be at least 1s and at most %v", maxMaintenance)
			}
			m = &v1.MaintenanceSpec{Start: time.Now().Add(maintenanceNotice + in).UTC().Format(time.RFC3339), Duration: length.String(), Reason: reason}
		}
		return onNode(access, func(ctx context.Context, cmd *cobra.Command, c *cluster, name string) error {
			return c.setMaintenance(ctx, cmd.OutOrStdout(), cmd.ErrOrStderr(), name, m, in)
		})(cmd, args)
	}
	return cmd
}

// setMaintenance sets spec.maintenance of a node; nil removes it. in is how long it is
// until the start.
func (c *cluster) setMaintenance(ctx context.Context, out, errs io.Writer, name string, m *v1.MaintenanceSpec, in time.Duration) error {
	node, err := c.node(ctx, name)
	if err != nil {
		return err
	}
	if m == nil && node.Spec.Maintenance == nil {
		fmt.Fprintf(out, "%s: unchanged, spec.maintenance is not set\n", name)
		return nil
	}
	patch := client.MergeFrom(node.DeepCopy())
	node.Spec.Maintenance = m
	if err := c.Patch(ctx, node, patch, client.FieldOwner(pluginName)); err != nil {
		return err
	}
	switch {
	case m == nil:
		fmt.Fprintf(out, "%s: the maintenance is cancelled\n", name)
	case node.Spec.Maintenance == nil:
		return errors.New("the cluster's CRD has no spec.maintenance; upgrade the CRD and the operator")
	default:
		start, end, err := m.Times()
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: maintenance from %s to %s\n", name, start.Format(time.RFC3339), end.Format(time.RFC3339))
		if interval := time.Duration(node.Spec.Contracts.IntervalSeconds) * time.Second; in < interval {
			fmt.Fprintf(errs, "warning: --in is less than one interval (%v), so some farmers' clients may give up contracts that are due in it\n", interval)
		}
	}
	warnIfDelayed(errs, node)
	return nil
}
