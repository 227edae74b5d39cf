package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

func newFarmersCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "farmers", Short: "Suspend farmers"}
	cmd.AddCommand(newSuspendCommand(), newLiftCommand())
	return cmd
}

func newSuspendCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "suspend ID --reason TEXT",
		Short: "Give a farmer no more contracts",
		Long: "Suspends a farmer: it gets no contracts until `farmers lift`. It keeps the contracts that it\n" +
			"has. The status API and the page show the reason.",
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "what the farmer and the status page are told")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if reason = strings.TrimSpace(reason); reason == "" {
			return errors.New("--reason is empty; say what the farmer is to be told")
		}
		if err := checkReason(reason); err != nil {
			return err
		}
		return onFarmer(cmd, args[0], func(ctx context.Context, st *store.Store, id string, now time.Time) error {
			if err := st.Suspend(ctx, id, reason, now); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "farmer %s is suspended; `farmers lift %[1]s` ends this\n", id)
			return nil
		})
	}
	return cmd
}

func checkReason(reason string) error {
	if n := utf8.RuneCountInString(reason); n > store.MaxReason {
		return fmt.Errorf("--reason has %d characters, the maximum is %d", n, store.MaxReason)
	}
	if !utf8.ValidString(reason) || strings.ContainsFunc(reason, unicode.IsControl) {
		return errors.New("--reason must be one line of text; remove the control characters")
	}
	return nil
}

func newLiftCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "lift ID",
		Short: "End the suspension by `farmers suspend`",
		Long: "Ends the suspension of a farmer by `farmers suspend`. A suspension by score.minOnline or\n" +
			"score.minCorrect ends if the score is high enough again, or if you lower the setting.",
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "what the farmer's events say about it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkReason(reason); err != nil {
			return err
		}
		return onFarmer(cmd, args[0], func(ctx context.Context, st *store.Store, id string, now time.Time) error {
			if err := st.Lift(ctx, id, reason, now); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "farmer %s is not suspended\n", id)
			return nil
		})
	}
	return cmd
}

// onFarmer runs do for the farmer with this id.
func onFarmer(cmd *cobra.Command, text string, do func(ctx context.Context, st *store.Store, id string, now time.Time) error) error {
	id, ok := node.ParseFarmerID(text)
	if !ok {
		return fmt.Errorf("%q is not a farmer id; the status page and `GET /status/list` have the ids, of 20 hex digits", text)
	}
	return withTables(cmd, func(ctx context.Context, _ app.Config, st *store.Store) error {
		now, err := st.Now(ctx)
		if err != nil {
			return err
		}
		err = do(ctx, st, id, now)
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("there is no farmer %s", id)
		}
		if errors.Is(err, store.ErrRuleSuspends) {
			return fmt.Errorf("farmer %s is suspended by score.minOnline or score.minCorrect; this ends if its score is high enough again, or if you lower the setting", id)
		}
		return err
	})
}
