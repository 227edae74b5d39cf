package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/roster"
	"github.com/driveshare/downstream-node/internal/store"
)

func newTokensCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "tokens", Short: "List and delete farmers' tokens"}
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
				return audit(ctx, st, "deleted the token of farmer %s", id)
			})
		},
	}, &cobra.Command{
		Use:   "list",
		Short: "List the tokens, the oldest first",
		Long: "Lists the tokens, the oldest first, with the IP address that each was last used from. A\n" +
			"token is a secret of its farmer, which the database does not hold, so the list has the\n" +
			"farmers' ids.",
		Args: cobra.NoArgs,
		RunE: listTokens,
	})
	return cmd
}

func listTokens(cmd *cobra.Command, _ []string) error {
	return withFarmers(cmd, func(_ context.Context, _ *store.Store, view *roster.View) error {
		all, _ := view.List(roster.Query{})
		tokens := slices.SortedStableFunc(all, func(a, b node.Farmer) int { return a.Created.Compare(b.Created) })
		table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tADDRESS\tIP\tCREATED\tLAST HEARTBEAT\tCONTRACTS")
		for _, f := range tokens {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\n", f.ID, f.Address, f.IP, f.Created.Format(time.RFC3339), whenever(f.LastHeartbeat), f.Contracts)
		}
		return table.Flush()
	})
}
