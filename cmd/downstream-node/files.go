package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

func newFilesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "files", Short: "Show the copies of files that several farmers should hold"}
	cmd.AddCommand(newListFilesCommand(), &cobra.Command{
		Use:   "show HASH",
		Short: "List the copies of a file, the oldest first",
		Args:  cobra.ExactArgs(1),
		RunE:  showFile,
	})
	return cmd
}

func newListFilesCommand() *cobra.Command {
	var below bool
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the files that farmers hold, those with the fewest proved copies first",
		Long: "Lists the files that farmers hold, those with the fewest proved copies first. Files that\n" +
			"were encoded with an inventory.redundancy of 1 are not in the list until that is raised.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&below, "below-target", false, "only files with fewer proved copies than inventory.redundancy")
	cmd.Flags().IntVar(&limit, "limit", 100, "the maximum number of files")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if limit < 1 {
			return errors.New("--limit must be at least 1")
		}
		return withTables(cmd, func(ctx context.Context, cfg app.Config, st *store.Store) error {
			copies := int64(math.MaxInt64)
			if below {
				if copies = cfg.Inventory.Redundancy; copies <= 1 {
					return errors.New("inventory.redundancy is 1 in this configuration, so no file can lack a copy; give the command the configuration of the node")
				}
			}
			files, err := st.HeldFiles(ctx, copies, limit)
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "HASH\tSIZE\tPROVED\tUNPROVEN\tWAITING")
			for _, f := range files {
				waiting := 0
				if f.Waiting {
					waiting = 1
				}
				fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\n", f.Hash, humanize.IBytes(uint64(f.Size)), f.Proved, f.Live-f.Proved, waiting)
			}
			return table.Flush()
		})
	}
	return cmd
}

func showFile(cmd *cobra.Command, args []string) error {
	hash, ok := node.ParseFileHash(args[0])
	if !ok {
		return fmt.Errorf("%q is not a file hash of 64 hex digits", args[0])
	}
	return withTables(cmd, func(ctx context.Context, _ app.Config, st *store.Store) error {
		size, copies, err := st.FileCopies(ctx, hash)
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("there is no file %s with copies; a file that was encoded with an inventory.redundancy of 1 has none until that is raised", hash)
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s, %s\n", hash, humanize.IBytes(uint64(size)))
		table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "FARMER\tSTATE\tSINCE")
		for _, c := range copies {
			since := "-"
			if !c.Since.IsZero() {
				since = c.Since.Format(time.RFC3339)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\n", cmp.Or(c.Farmer, "-"), c.State, since)
		}
		return table.Flush()
	})
}
