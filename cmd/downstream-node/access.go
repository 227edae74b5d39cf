package main

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

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/sjcx"
	"github.com/driveshare/downstream-node/internal/store"
)

// farmerID returns the id of a farmer that an argument names by id or token.
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
			cfg, err := loadConfig(cmd, app.Default())
			if err != nil {
				return err
			}
			load, err := readWhitelist(args[0], cfg.Access.MinBalance)
			if err != nil {
				return err
			}
			return onTables(cmd.Context(), cfg, func(ctx context.Context, st *store.Store) error {
				done, err := load(ctx, st)
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

// readWhitelist reads the file or address that the argument names. It returns a
// function that writes it to the records and describes the change.
func readWhitelist(arg string, minBalance int64) (load func(context.Context, *store.Store) (string, error), err error) {
	file, err := os.Open(arg)
	if _, _, noAddress := sjcx.ParseAddress(arg); errors.Is(err, fs.ErrNotExist) && noAddress == nil {
		return func(ctx context.Context, st *store.Store) (string, error) {
			return "the whitelist has " + arg, st.AllowAddress(ctx, store.Allowed{Address: arg})
		}, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is neither a file nor a valid address", arg)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s is not a file", arg))
	}
	list, err := allowed(file, minBalance)
	if err != nil {
		return nil, fmt.Errorf("%s: %w\nnothing was changed", arg, err)
	}
	return func(ctx context.Context, st *store.Store) (string, error) {
		change, err := st.LoadWhitelist(ctx, withoutError(list), time.Now())
		return fmt.Sprintf("%d addresses added, %d kept, %d removed with %d tokens",
			change.Added, change.Kept, change.Removed, change.Tokens), err
	}, nil
}

// allowed reads a whitelist for the store. An empty whitelist is an error: it would
// delete every farmer's contracts.
func allowed(r io.Reader, minBalance int64) ([]store.Allowed, error) {
	var list []store.Allowed
	for entry, err := range sjcx.ReadWhitelist(r, minBalance) {
		if err != nil {
			return nil, err
		}
		list = append(list, store.Allowed{Address: entry.Address, Balance: entry.Balance})
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no address has a balance of at least %d", minBalance)
	}
	return list, nil
}

func withoutError[T any](list []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range list {
			if !yield(v, nil) {
				return
			}
		}
	}
}
