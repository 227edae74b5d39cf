package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

func newMaintenanceCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "maintenance", Short: "Plan times in which the node cannot take proofs"}
	cmd.AddCommand(
		newMaintenanceAddCommand(),
		newMaintenanceDeclareCommand(),
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
					if err != nil {
						return err
					}
					fmt.Fprintf(cmd.OutOrStdout(), "maintenance %d is cancelled, or over if it had begun\n", id)
					return audit(ctx, st, "cancelled maintenance %d", id)
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
	flags.DurationVar(&in, "in", 0, fmt.Sprintf("how long until it starts, counted from %v from now, when all processes know of it", node.MaintenanceNotice))
	flags.DurationVar(&length, "for", 0, "how long it takes")
	flags.StringVar(&reason, "reason", "planned maintenance", "what the status page says about it")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if in < 0 {
			return errors.New("--in must not be negative")
		}
		if err := checkMaintenance(length, reason); err != nil {
			return err
		}
		return withTables(cmd, func(ctx context.Context, cfg app.Config, st *store.Store) error {
			now, err := st.Now(ctx)
			if err != nil {
				return err
			}
			start := now.Add(node.MaintenanceNotice + in).Truncate(time.Second)
			m, err := st.AddMaintenance(ctx, start, start.Add(length), reason)
			if err := explainOverlap(err); err != nil {
				return err
			}
			printMaintenance(cmd, m)
			if interval := cfg.Contracts.Interval; in < interval {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: --in is less than one interval (%v), so some farmers' clients may give up contracts that are due in it\n", interval)
			}
			return audit(ctx, st, "announced maintenance %d from %s to %s: %s", m.ID, m.Start.Format(time.RFC3339), m.Planned.Format(time.RFC3339), reason)
		})
	}
	return cmd
}

func checkMaintenance(length time.Duration, reason string) error {
	if length <= 0 || length > maxMaintenance {
		return fmt.Errorf("--for must be more than 0s and at most %v", maxMaintenance)
	}
	if n := utf8.RuneCountInString(reason); n > store.MaxEvidence {
		return fmt.Errorf("--reason has %d characters, the maximum is %d", n, store.MaxEvidence)
	}
	return nil
}

func explainOverlap(err error) error {
	if errors.Is(err, store.ErrMaintenanceOverlaps) {
		return fmt.Errorf("%w; `maintenance list` shows it", store.ErrMaintenanceOverlaps)
	}
	return err
}

func printMaintenance(cmd *cobra.Command, m node.Fault) {
	fmt.Fprintf(cmd.OutOrStdout(), "maintenance %d from %s to %s\n", m.ID, m.Start.Format(time.RFC3339), m.Planned.Format(time.RFC3339))
}

// newMaintenanceDeclareCommand makes the command of the operator's Job for
// spec.maintenance. It may run more than once, so it takes the time of the start.
func newMaintenanceDeclareCommand() *cobra.Command {
	var start, reason string
	var length time.Duration
	var none bool
	cmd := &cobra.Command{
		Use:    "declare --start TIME --for DURATION",
		Short:  "Make the declared maintenance the given one; for the operator's Job",
		Hidden: true,
		Args:   cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&start, "start", "", "when it starts, in the form of RFC 3339, or now")
	flags.DurationVar(&length, "for", 0, "how long it takes")
	flags.StringVar(&reason, "reason", "planned maintenance", "what the status page says about it")
	flags.BoolVar(&none, "none", false, "cancel the declared maintenance, or end it if it has begun")
	cmd.MarkFlagsOneRequired("start", "none")
	cmd.MarkFlagsMutuallyExclusive("start", "none")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var want *node.Fault
		if !none {
			var at time.Time
			if start != "now" {
				var err error
				if at, err = time.Parse(time.RFC3339, start); err != nil {
					return fmt.Errorf("--start is %q; write a time like 2006-01-02T15:04:05Z, or now", start)
				}
			}
			if err := checkMaintenance(length, reason); err != nil {
				return err
			}
			want = &node.Fault{Start: at, Planned: at.Add(length), Evidence: reason}
		}
		return withTables(cmd, func(ctx context.Context, _ app.Config, st *store.Store) error {
			if start == "now" {
				now, err := st.Now(ctx)
				if err != nil {
					return err
				}
				want.Start, want.Planned = now, now.Add(length)
			}
			m, err := st.DeclareMaintenance(ctx, want)
			switch err := explainOverlap(err); {
			case err != nil:
				return err
			case m != nil:
				printMaintenance(cmd, *m)
			case none:
				fmt.Fprintln(cmd.OutOrStdout(), "no maintenance is declared")
			default:
				fmt.Fprintln(cmd.OutOrStdout(), "the maintenance is over")
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
