package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/node"
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
