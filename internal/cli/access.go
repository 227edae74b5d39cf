package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/sjcx"
	"github.com/driveshare/downstream-node/internal/store"
)

// farmerID reads what names a token on the command line.
func farmerID(arg string) (string, error) {
	if id, ok := node.ParseFarmerID(arg); ok {
		return id, nil
	}
	token, err := node.ParseToken(arg)
	if err != nil {
		return "", errors.New("neither a token (32 hex digits) nor a farmer id (20 hex digits)")
	}
	return token.Hash().FarmerID(), nil
}

func newWhitelistCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "whitelist", Short: "Say which addresses may farm"}
	cmd.AddCommand(&cobra.Command{
		Use:   "load FILE|ADDRESS",
		Short: "Make the whitelist equal to a file, or add one address",
		Long: "With a CSV file (first row skipped; address,crowdsale_balance,...) it makes the\n" +
			"whitelist equal to it: an address that is gone loses its tokens and contracts.\n" +
			"With an address it adds that one. A file that cannot be read whole changes\n" +
			"nothing.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withTables(cmd, func(ctx context.Context, cfg config.Config, st *store.Store) error {
				done, err := loadWhitelist(ctx, cfg, st, args[0])
				if err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), done)
				return nil
			})
		},
	})
	return cmd
}

// loadWhitelist says what it did.
func loadWhitelist(ctx context.Context, cfg config.Config, st *store.Store, arg string) (string, error) {
	file, err := os.Open(arg)
	if _, _, noAddress := sjcx.ParseAddress(arg); errors.Is(err, fs.ErrNotExist) && noAddress == nil {
		if err := st.AllowAddress(ctx, store.Allowed{Address: arg}); err != nil {
			return "", err
		}
		return "the whitelist has " + arg, nil
	}
	if err != nil {
		return "", fmt.Errorf("%w\nneither a file nor a valid address", err)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", errors.Join(err, fmt.Errorf("%s is not a file", arg))
	}
	change, err := st.LoadWhitelist(ctx, allowed(file, cfg.Access.MinBalance), time.Now())
	if err != nil {
		return "", fmt.Errorf("%s: %w\nnothing was changed", arg, err)
	}
	return fmt.Sprintf("%d addresses added, %d kept, %d removed with %d tokens",
		change.Added, change.Kept, change.Removed, change.Tokens), nil
}

// allowed reads a whitelist for the store. One without an address is an error:
// it would take every farmer's contracts, which nobody wants who does not say so.
func allowed(r io.Reader, minBalance int64) iter.Seq2[store.Allowed, error] {
	return func(yield func(store.Allowed, error) bool) {
		empty := true
		for entry, err := range sjcx.ReadWhitelist(r, minBalance) {
			empty = false
			if !yield(store.Allowed{Address: entry.Address, Balance: entry.Balance}, err) {
				return
			}
		}
		if empty {
			yield(store.Allowed{}, fmt.Errorf("no address has a balance of at least %d", minBalance))
		}
	}
}
