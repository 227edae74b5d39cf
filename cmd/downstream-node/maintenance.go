package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/store"
)

func newMaintenanceCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "maintenance", Short: "Plan times in which the node cannot take proofs"}
	cmd.AddCommand(
		newMaintenanceAddCommand(),
		&cobra.Command{
			Use:   "list",
			Short: "List the maintenances that are planned or have begun",
			Args:  cobra.NoArgs,
			RunE:  listMaintenances,
		},
		&cobra.Command{
			Use:   "cancel ID",
			Short: "Cancel a maintenance, or end it if it has begun",
			Args:  cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				id, err := strconv.ParseInt(args[0], 10, 64)
				if err != nil {
					return fmt.Errorf("%q is not an id; `maintenance list` prints the ids", args[0])
				}
				return withTables(cmd, func(ctx context.Context, _ app.Config, st *store.Store) error {
					err := st.EndMaintenance(ctx, id)
					if errors.Is(err, store.ErrNotFound) {
						err = fmt.Errorf("no maintenance %d; `maintenance list` prints the ids", id)
					}
					return err
				})
			},
		},
	)
	return cmd
}

// maxMaintenance limits the length of a maintenance, because a farmer that dies just
// before it is found out only after it.
const maxMaintenance = 7 * 24 * time.Hour

func newMaintenanceAddCommand() *cobra.Command {
	var in, length time.Duration
	var reason string
	cmd := &cobra.Command{
		Use:   "add --in DURATION --for DURATION",
		Short: "Announce a maintenance",
		Long: "Announces a maintenance. A challenge that is issued from now on and would be due in the\n" +
			"maintenance is due after it. The node moves earlier challenges when the maintenance has\n" +
			"ended, but a farmer's client may have given up by then. So announce a maintenance at least\n" +
			"one interval before it starts.",
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.DurationVar(&in, "in", 0, "how long until it starts")
	flags.DurationVar(&length, "for", 0, "how long it takes")
	flags.StringVar(&reason, "reason", "planned maintenance", "what the status page says about it")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case in < 0:
			return errors.New("--in must not be negative")
		case length <= 0 || length > maxMaintenance:
			return fmt.Errorf("--for must be more than 0s and at most %v", maxMaintenance)
		case len(reason) > store.MaxEvidence:
			return fmt.Errorf("--reason has %d bytes, the maximum is %d", len(reason), store.MaxEvidence)
		}
		return withTables(cmd, func(ctx context.Context, cfg app.Config, st *store.Store) error {
			now, err := st.Now(ctx)
			if err != nil {
				return err
			}
			start := now.Add(in).Truncate(time.Second)
			m, err := st.AddMaintenance(ctx, start, start.Add(length), reason)
			if errors.Is(err, store.ErrMaintenanceOverlaps) {
				return fmt.Errorf("%w; `maintenance list` shows it", store.ErrMaintenanceOverlaps)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "maintenance %d from %s to %s\n", m.ID, m.Start.Format(time.RFC3339), m.Planned.Format(time.RFC3339))
			if interval := cfg.Contracts.Interval; in < interval {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: it starts earlier than one interval (%v) from now, so some farmers' clients may give up contracts that are due in it\n", interval)
			}
			return nil
		})
	}
	return cmd
}

func listMaintenances(cmd *cobra.Command, _ []string) error {
	return withTables(cmd, func(ctx context.Context, _ app.Config, st *store.Store) error {
		planned, err := st.Maintenances(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tSTART\tEND\tREASON")
		for _, m := range planned {
			fmt.Fprintf(table, "%d\t%s\t%s\t%s\n", m.ID, m.Start.Format(time.RFC3339), m.Planned.Format(time.RFC3339), m.Evidence)
		}
		return table.Flush()
	})
}
