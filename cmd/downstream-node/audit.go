package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/store"
)

func newAuditCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "List what administrators did to the node, the newest first",
		Long: "Lists what commands changed, with the user and the machine that ran them: whitelist,\n" +
			"tokens, suspensions, keys, maintenance, chunks and dead letters. A worker or a standalone\n" +
			"node also writes each act to its log, within a minute.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return errors.New("--limit must be at least 1")
			}
			return withTables(cmd, func(ctx context.Context, _ app.Config, st *store.Store) error {
				acts, err := st.Acts(ctx, limit)
				if err != nil {
					return err
				}
				table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(table, "TIME\tWHO\tWHAT")
				for _, a := range acts {
					fmt.Fprintf(table, "%s\t%s\t%s\n", a.At.Format(time.RFC3339), a.Who, a.What)
				}
				return table.Flush()
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 50, "the maximum number of acts")
	return cmd
}

// audit records what the command has done.
func audit(ctx context.Context, st *store.Store, format string, args ...any) error {
	if err := st.RecordAct(ctx, administrator(), fmt.Sprintf(format, args...)); err != nil {
		return fmt.Errorf("the command did its work, but `downstream-node audit` does not list it: %w", err)
	}
	return nil
}

// administrator returns the user and the machine that run the command.
func administrator() string {
	name := "uid " + strconv.Itoa(os.Getuid()) // containers have no user names
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	if by := os.Getenv("SUDO_USER"); by != "" {
		name = by + " as " + name
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}
