package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/program"
	"github.com/driveshare/downstream-node/internal/store"
)

func newChunksCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "chunks", Short: "Maintain the inventory of chunks"}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "generate SIZE [COUNT]",
			Short: "Encode COUNT chunks of SIZE for the inventory",
			Long: "Encodes COUNT chunks (1) of SIZE, in bytes or as in 10MiB, with the current\n" +
				"heartbeat key. The current size of the inventory does not matter.",
			Args: cobra.RangeArgs(1, 2),
			RunE: generateChunks,
		},
		&cobra.Command{
			Use:   "maintain MIN MAX TOTAL BASE",
			Short: "Fill the inventory once",
			Long: "Fills the inventory with about equal numbers of chunks at every power of BASE\n" +
				"from MIN to MAX, up to TOTAL bytes. Workers do the same in the background, with the\n" +
				"configured values.",
			Args: cobra.ExactArgs(4),
			RunE: maintainChunks,
		},
		&cobra.Command{
			Use:   "clear",
			Short: "Remove every chunk that waits for a farmer",
			Args:  cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return withTables(cmd, func(ctx context.Context, _ app.Config, st *store.Store) error {
					n, err := st.ClearChunks(ctx)
					if err != nil {
						return err
					}
					fmt.Fprintf(cmd.OutOrStdout(), "removed %d chunks\n", n)
					return nil
				})
			},
		},
		&cobra.Command{
			Use:   "list",
			Short: "Count the chunks that wait for a farmer, by key and size",
			Args:  cobra.NoArgs,
			RunE:  listChunks,
		},
	)
	return cmd
}

func generateChunks(cmd *cobra.Command, args []string) error {
	size, err := parseSize("SIZE", args[0])
	if err != nil {
		return err
	}
	count := 1
	if len(args) == 2 {
		if count, err = strconv.Atoi(args[1]); err != nil || count < 1 {
			return fmt.Errorf("COUNT %q: must be a whole number, at least 1", args[1])
		}
	}
	return withApp(cmd, func(ctx context.Context, a *app.App) error {
		stocker := a.NewStocker(node.Inventory{Redundancy: a.Config.Inventory.Redundancy})
		total := int64(math.MaxInt64)
		if int64(count) < total/size {
			total = int64(count) * size
		}
		bar := program.NewProgressBar(cmd, total)
		defer bar.Done()
		for range count {
			if err := stocker.Make(ctx, a.Keys.Current(), size); err != nil {
				return err
			}
			bar.Add(size)
		}
		return nil
	})
}

func maintainChunks(cmd *cobra.Command, args []string) (err error) {
	var inv node.Inventory
	if inv.MinSize, err = parseSize("MIN", args[0]); err != nil {
		return err
	}
	if inv.MaxSize, err = parseSize("MAX", args[1]); err != nil {
		return err
	}
	if inv.TotalSize, err = parseSize("TOTAL", args[2]); err != nil {
		return err
	}
	if inv.Base, err = strconv.ParseInt(args[3], 10, 64); err != nil {
		return fmt.Errorf("BASE %q: must be a whole number, at least 2", args[3])
	}
	if _, err := inv.Sizes(); err != nil {
		return err
	}
	return withApp(cmd, func(ctx context.Context, a *app.App) error {
		inv.Redundancy = a.Config.Inventory.Redundancy
		stocker := a.NewStocker(inv)
		bar := program.NewProgressBar(cmd, inv.TotalSize)
		defer bar.Done()
		for {
			size, err := stocker.StockOne(ctx)
			if err != nil || size == 0 {
				return err
			}
			bar.Add(size)
		}
	})
}

func listChunks(cmd *cobra.Command, _ []string) error {
	return withTables(cmd, func(ctx context.Context, _ app.Config, st *store.Store) error {
		type kind struct{ key, size int64 }
		count := map[kind]int64{}
		if err := st.ListChunks(ctx, func(c store.Chunk) error {
			count[kind{c.KeyID, c.Size}]++
			return nil
		}); err != nil {
			return err
		}
		table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "KEY\tSIZE\tCHUNKS\tBYTES")
		for _, k := range slices.SortedFunc(maps.Keys(count), func(a, b kind) int {
			return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.size, b.size))
		}) {
			fmt.Fprintf(table, "%d\t%s\t%d\t%d\n", k.key, humanize.IBytes(uint64(k.size)), count[k], k.size*count[k])
		}
		return table.Flush()
	})
}

// parseSize parses a size, such as 32768 or 10MiB. It returns the number of bytes.
func parseSize(name, arg string) (int64, error) {
	n, err := humanize.ParseBytes(arg)
	if err != nil || n < 1 || n > 1<<40 {
		return 0, fmt.Errorf("%s %q: must be a size from 1 byte to 1TiB, such as 32768 or 32KiB", name, arg)
	}
	return int64(n), nil
}
