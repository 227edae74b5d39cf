package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/sjcx"
	"github.com/driveshare/downstream-node/internal/store"
)

func newTokensCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "tokens", Short: "Maintain farmers' tokens"}
	cmd.AddCommand(&cobra.Command{
		Use:   "delete TOKEN|ID",
		Short: "Delete a token, with its contracts",
		Long:  "Deletes a token and its contracts. Name the token or its farmer's id.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, ok := node.ParseFarmerID(args[0])
			if !ok {
				token, err := node.ParseToken(args[0])
				if err != nil {
					return errors.New("neither a token (32 hex digits) nor a farmer id (20 hex digits)")
				}
				id = token.Hash().FarmerID()
			}
			return withTables(cmd, func(ctx context.Context, _ app.Config, st *store.Store) error {
				now, err := st.Now(ctx)
				if err != nil {
					return err
				}
				if err := st.DeleteToken(ctx, id, now); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "deleted the token of farmer %s\n", id)
				return nil
			})
		},
	})
	return cmd
}

func newWhitelistCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "whitelist", Short: "Set which addresses may farm"}
	cmd.AddCommand(&cobra.Command{
		Use:   "load FILE|ADDRESS",
		Short: "Make the whitelist equal to a file, or add one address",
		Long: "With a CSV file (first row skipped; address,crowdsale_balance,...) it makes the\n" +
			"whitelist equal to the file: an address that the file lacks loses its tokens and\n" +
			"contracts. With an address it adds that address. A file with an error changes nothing.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadConfig(cmd, app.Default())
			if err != nil {
				return err
			}
			list, err := readWhitelist(args[0], cfg.Access.MinBalance)
			if err != nil {
				return err
			}
			return onTables(cmd, cfg, func(ctx context.Context, st *store.Store) error {
				if list == nil {
					if err := st.AllowAddress(ctx, store.Allowed{Address: args[0]}); err != nil {
						return err
					}
					fmt.Fprintln(cmd.OutOrStdout(), "the whitelist has", args[0])
					return nil
				}
				now, err := st.Now(ctx)
				if err != nil {
					return err
				}
				change, err := st.LoadWhitelist(ctx, func(yield func(store.Allowed, error) bool) {
					for _, entry := range list {
						if !yield(entry, nil) {
							return
						}
					}
				}, now)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%d addresses added, %d kept, %d removed with %d tokens\n",
					change.Added, change.Kept, change.Removed, change.Tokens)
				return nil
			})
		},
	})
	return cmd
}

// readWhitelist reads the file that the argument names. It returns nil if the
// argument is an address. An empty whitelist is an error, because loading it would
// delete every farmer's contracts.
func readWhitelist(arg string, minBalance int64) ([]store.Allowed, error) {
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
	var list []store.Allowed
	for entry, err := range sjcx.ReadWhitelist(file, minBalance) {
		if err != nil {
			return nil, fmt.Errorf("%s: %w\nnothing was changed", arg, err)
		}
		list = append(list, store.Allowed{Address: entry.Address, Balance: entry.Balance})
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: no address has a balance of at least %d\nnothing was changed", arg, minBalance)
	}
	return list, nil
}
