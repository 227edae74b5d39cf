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
		newClearChunksCommand(),
		&cobra.Command{
			Use:   "list",
			Short: "Count the chunks that wait for a farmer, by key and size",
			Args:  cobra.NoArgs,
			RunE:  listChunks,
		},
	)
	return cmd
}

func newClearChunksCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "clear",
		Short: "Remove every chunk that waits for a farmer",
		Long:  "Removes every chunk that waits for a farmer. Workers encode new ones. It asks before.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withTables(cmd, func(ctx context.Context, _ app.Config, st *store.Store) error {
				count, _, err := countChunks(ctx, st)
				if err != nil {
					return err
				}
				waiting := int64(0)
				for _, n := range count {
					waiting += n
				}
				loss := ""
				if waiting > 0 {
					loss = node.Counted(waiting, "chunk") + " must be encoded again"
				}
				if err := confirm(cmd, yes, loss); err != nil {
					return err
				}
				n, err := st.ClearChunks(ctx)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "removed %s\n", node.Counted(n, "chunk"))
				return audit(ctx, st, "removed %s", node.Counted(n, "chunk"))
			})
		},
	}
	addYes(cmd, &yes, "remove the chunks without asking")
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
		bar.Done()
		fmt.Fprintf(cmd.OutOrStdout(), "made %s of %s with the key %s\n",
			node.Counted(int64(count), "chunk"), humanize.IBytes(uint64(size)), store.ShortKey(a.Keys.Current().Fingerprint))
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
		chunks, bytes := int64(0), int64(0)
		for {
			size, err := stocker.StockOne(ctx)
			if err != nil {
				return err
			}
			if size == 0 {
				break
			}
			chunks, bytes = chunks+1, bytes+size
			bar.Add(size)
		}
		bar.Done()
		fmt.Fprintf(cmd.OutOrStdout(), "made %s, %s\n", node.Counted(chunks, "chunk"), humanize.IBytes(uint64(bytes)))
		return nil
	})
}

// chunkKind is what equal chunks have in common.
type chunkKind struct{ key, size int64 }

// countChunks counts the chunks that wait for a farmer. The kinds are sorted.
func countChunks(ctx context.Context, st *store.Store) (count map[chunkKind]int64, kinds []chunkKind, err error) {
	count = map[chunkKind]int64{}
	err = st.ListChunks(ctx, func(c store.Chunk) error {
		count[chunkKind{c.KeyID, c.Size}]++
		return nil
	})
	kinds = slices.SortedFunc(maps.Keys(count), func(a, b chunkKind) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.size, b.size))
	})
	return count, kinds, err
}

func listChunks(cmd *cobra.Command, _ []string) error {
	return withTables(cmd, func(ctx context.Context, _ app.Config, st *store.Store) error {
		count, kinds, err := countChunks(ctx, st)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "KEY\tSIZE\tCHUNKS\tBYTES")
		for _, k := range kinds {
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
