package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/sjcx"
	"github.com/driveshare/downstream-node/internal/store"
)

func newWhitelistCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "whitelist", Short: "Set which addresses may farm"}
	cmd.AddCommand(newWhitelistLoadCommand(), newWhitelistRemoveCommand(), &cobra.Command{
		Use:   "list",
		Short: "List the addresses in the database, with what they have",
		Long: "Lists the addresses in the database with their balances, as loaded, and with the\n" +
			"numbers of their tokens and contracts. An address that may not get new tokens was\n" +
			"loaded with too small a balance, or has its tokens from a time without a whitelist.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withTables(cmd, func(ctx context.Context, _ app.Config, st *store.Store) error {
				list, err := st.Whitelist(ctx)
				if err != nil {
					return err
				}
				table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(table, "ADDRESS\tBALANCE\tNEW TOKENS\tTOKENS\tCONTRACTS")
				for _, e := range list {
					allowed := "no"
					if e.Whitelisted {
						allowed = "yes"
					}
					fmt.Fprintf(table, "%s\t%d\t%s\t%d\t%d\n", e.Address, e.Balance, allowed, e.Tokens, e.Contracts)
				}
				return table.Flush()
			})
		},
	})
	return cmd
}

func newWhitelistLoadCommand() *cobra.Command {
	var dryRun, yes bool
	cmd := &cobra.Command{
		Use:   "load FILE|ADDRESS",
		Short: "Make the whitelist equal to a file, or add one address",
		Long: "With a CSV file (first row skipped; address,crowdsale_balance,...) it makes the\n" +
			"whitelist equal to the file: an address that the file lacks loses its tokens and\n" +
			"contracts. An address whose balance is below access.minBalance keeps what it has,\n" +
			"and gets no new tokens. With an address it adds that one. It reports each row that\n" +
			"it skips. A file with an error changes nothing. Before it deletes contracts, it\n" +
			"asks.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadConfig(cmd, app.Default())
			if err != nil {
				return err
			}
			list, err := readWhitelist(cmd, args[0], cfg.Access.MinBalance)
			if err != nil {
				return err
			}
			return onTables(cmd, cfg, func(ctx context.Context, st *store.Store) error {
				if list != nil {
					return loadWhitelist(ctx, cmd, st, list, dryRun, yes)
				}
				if dryRun {
					fmt.Fprintln(cmd.OutOrStdout(), "the whitelist would have", args[0])
					return nil
				}
				if err := st.AllowAddress(ctx, store.Listed{Address: args[0]}); err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), "the whitelist has", args[0])
				return audit(ctx, st, "added %s to the whitelist", args[0])
			})
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would change and what would be lost")
	addYes(cmd, &yes, "delete contracts without asking")
	return cmd
}

func loadWhitelist(ctx context.Context, cmd *cobra.Command, st *store.Store, list []store.Listed, dryRun, yes bool) error {
	plan, err := st.PlanWhitelist(ctx, list)
	if err != nil {
		return err
	}
	describe := func(c store.WhitelistChange) string {
		return fmt.Sprintf("%s added, %d kept, %d removed with %s and %s; %d keep what they have, and get no new tokens",
			node.Counted(int64(c.Added), "address"), c.Kept, c.Removed, node.Counted(c.Tokens, "token"), node.Counted(c.Contracts, "contract"), c.Low)
	}
	if dryRun {
		fmt.Fprintln(cmd.OutOrStdout(), "would be:", describe(plan))
		return nil
	}
	if err := confirm(cmd, yes, lossOf(plan.Removed, plan.Tokens, plan.Contracts)); err != nil {
		return err
	}
	now, err := st.Now(ctx)
	if err != nil {
		return err
	}
	change, err := st.LoadWhitelist(ctx, list, now)
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), describe(change))
	return audit(ctx, st, "loaded a whitelist: %s", describe(change))
}

func newWhitelistRemoveCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "remove ADDRESS",
		Short: "Remove one address, with its tokens and contracts",
		Long: "Removes one address from the whitelist, and deletes its tokens and contracts. Before\n" +
			"it deletes contracts, it asks.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withTables(cmd, func(ctx context.Context, _ app.Config, st *store.Store) error {
				list, err := st.Whitelist(ctx)
				if err != nil {
					return err
				}
				for _, e := range list {
					if e.Address != args[0] {
						continue
					}
					if err := confirm(cmd, yes, lossOf(1, e.Tokens, e.Contracts)); err != nil {
						return err
					}
					now, err := st.Now(ctx)
					if err != nil {
						return err
					}
					tokens, contracts, err := st.RemoveAddress(ctx, args[0], now)
					if err != nil {
						return err
					}
					done := fmt.Sprintf("removed %s with %s and %s", args[0], node.Counted(tokens, "token"), node.Counted(contracts, "contract"))
					fmt.Fprintln(cmd.OutOrStdout(), done)
					return audit(ctx, st, "%s", done)
				}
				return fmt.Errorf("%s is not on the whitelist; `downstream-node whitelist list` lists it", args[0])
			})
		},
	}
	addYes(cmd, &yes, "delete contracts without asking")
	return cmd
}

// yesVariable answers the question in place of --yes. The operator sets it for the
// Job that loads a whitelist, because an older image would refuse an unknown flag.
const yesVariable = "DOWNSTREAM_YES"

func addYes(cmd *cobra.Command, yes *bool, usage string) {
	cmd.Flags().BoolVar(yes, "yes", os.Getenv(yesVariable) == "true", usage)
}

// lossOf says what addresses lose, for confirm. It is "" if they lose no contract.
func lossOf(addresses int, tokens, contracts int64) string {
	if contracts == 0 {
		return ""
	}
	verb := "lose"
	if addresses == 1 {
		verb = "loses"
	}
	return fmt.Sprintf("%s %s %s and %s for good", node.Counted(int64(addresses), "address"), verb, node.Counted(tokens, "token"), node.Counted(contracts, "contract"))
}

// confirm asks before a loss, unless the loss is "". Without a terminal it fails.
func confirm(cmd *cobra.Command, yes bool, loss string) error {
	if yes || loss == "" {
		return nil
	}
	if in, ok := cmd.InOrStdin().(*os.File); !ok || !term.IsTerminal(int(in.Fd())) {
		return fmt.Errorf("%s, and there is no terminal to ask at: repeat the command with --yes if that is right; nothing was changed", loss)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s. Type yes to continue: ", loss)
	line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if strings.TrimSpace(line) != "yes" {
		return errors.Join(errors.New("you did not type yes; nothing was changed"), err)
	}
	return nil
}

// readWhitelist reads the file that the argument names, and reports the rows that it
// skips. It returns nil if the argument is an address. A whitelist that allows no
// address is an error: most likely its balances or access.minBalance are wrong.
func readWhitelist(cmd *cobra.Command, arg string, minBalance int64) ([]store.Listed, error) {
	file, err := os.Open(arg)
	if errors.Is(err, fs.ErrNotExist) {
		if _, _, err := sjcx.ParseAddress(arg); err != nil {
			return nil, fmt.Errorf("%s is neither a file nor a valid address", arg)
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s is not a file", arg))
	}
	whitelist, err := sjcx.ReadWhitelist(file, minBalance)
	for _, row := range whitelist.Skipped {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s %v\n", arg, row)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w\nnothing was changed", arg, err)
	}
	list, low := make([]store.Listed, len(whitelist.Entries)), 0
	for i, entry := range whitelist.Entries {
		list[i] = store.Listed(entry)
		if entry.Low {
			low++
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: the file has no row with an SJCX address\nnothing was changed", arg)
	}
	if low == len(list) {
		return nil, fmt.Errorf("%s: no address has a balance of at least %d\nnothing was changed", arg, minBalance)
	}
	return list, nil
}
