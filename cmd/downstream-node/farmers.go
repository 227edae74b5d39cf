package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/program"
	"github.com/driveshare/downstream-node/internal/roster"
	"github.com/driveshare/downstream-node/internal/store"
)

func newFarmersCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "farmers", Short: "Show and suspend farmers"}
	cmd.AddCommand(newListFarmersCommand(), &cobra.Command{
		Use:   "show ID",
		Short: "Show all about a farmer: its score, its uptimes, and why contracts ended",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return onFarmer(cmd, args[0], func(ctx context.Context, st *store.Store, id string, now time.Time) error {
				return showFarmer(ctx, cmd.OutOrStdout(), st, id, now)
			})
		},
	}, newSuspendCommand(), newLiftCommand())
	return cmd
}

// withFarmers is withTables for a command that needs all farmers.
func withFarmers(cmd *cobra.Command, do func(context.Context, *store.Store, *roster.View) error) error {
	return withTables(cmd, func(ctx context.Context, _ app.Config, st *store.Store) error {
		now, err := st.Now(ctx)
		if err != nil {
			return err
		}
		news, err := st.FarmersSince(ctx, 0, now)
		if err != nil {
			return err
		}
		return do(ctx, st, roster.NewView(now, st.ScoreRules(), nil, &news))
	})
}

func newListFarmersCommand() *cobra.Command {
	var q roster.Query
	var order string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the farmers",
		Long:    "Lists the farmers from the database, so the node need not run.",
		Example: "  downstream-node farmers list --online --sort score --descending --limit 20",
		Args:    cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.BoolVar(&q.Online, "online", false, "list only farmers that are online")
	flags.StringVar(&order, "sort", "id", "sort by "+strings.Join(node.FarmerSorts[:], ", "))
	flags.BoolVar(&q.Desc, "descending", false, "list the largest first")
	flags.StringVar(&q.Search, "search", "", "list only farmers whose id begins with this text, or whose address contains it")
	flags.IntVar(&q.Limit, "limit", 0, "list at most this number of farmers; 0 lists all")
	program.CompleteWith(cmd, "sort", node.FarmerSorts[:]...)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var ok bool
		if q.Sort, ok = roster.ParseSort(order); !ok {
			return fmt.Errorf("--sort %q: choose one of %s", order, strings.Join(node.FarmerSorts[:], ", "))
		}
		if q.Limit < 0 {
			return errors.New("--limit must not be negative")
		}
		return withFarmers(cmd, func(_ context.Context, st *store.Store, view *roster.View) error {
			farmers, _ := view.List(q)
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "ID\tADDRESS\tONLINE\tSTANDING\tSCORE\tUPTIME\tHEARTBEATS\tCONTRACTS\tSIZE\tCOUNTRY\tLAST HEARTBEAT")
			for f := range farmers {
				standing, _ := f.Standing(st.ScoreRules(), view.Time)
				country := "-"
				if f.Location != nil {
					country = cmp.Or(f.Location.Country, "-")
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%.2f%%\t%d\t%d\t%s\t%s\t%s\n", f.ID, f.Address, yesNo(f.Uptime.Online(view.Time)), standing,
					scoreOf(f, st.ScoreRules(), view.Time), f.Uptime.Percent(view.Time), f.Heartbeats, f.Contracts, humanize.IBytes(uint64(max(f.Size, 0))),
					country, whenever(f.LastHeartbeat))
			}
			return table.Flush()
		})
	}
	return cmd
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// scoreOf is the lower bound of a farmer's score.
func scoreOf(f node.Farmer, rules node.ScoreRules, now time.Time) string {
	lower, known := f.Score(rules, now)
	if !known {
		return "-"
	}
	return fmt.Sprintf("≥%.2f%%", 100*lower)
}

func showFarmer(ctx context.Context, w io.Writer, st *store.Store, id string, now time.Time) error {
	f, err := st.Farmer(ctx, id, now)
	if err != nil {
		return err
	}
	days, err := st.FarmerDays(ctx, id, now.AddDate(0, 0, -89), now)
	if err != nil {
		return err
	}
	events, err := st.FarmerEvents(ctx, id)
	if err != nil {
		return err
	}
	rules := st.ScoreRules()
	standing, why := f.Standing(rules, now)
	state := string(standing)
	if standing == node.Suspended {
		state = fmt.Sprintf("%s since %s: %s; it %s", standing, whenever(why.Since), why.Reason, why.Lifts(rules))
	}
	place := "unknown"
	if l := f.Location; l != nil {
		place = strings.Join(slices.DeleteFunc([]string{l.City, l.State, l.Country}, func(s string) bool { return s == "" }), ", ")
	}
	uptimes := fmt.Sprintf("%.2f%%", f.Uptime.Percent(now))
	for _, last := range []int{7, 30, 90} {
		if uptime, known := node.UptimeOver(days, last); known {
			uptimes += fmt.Sprintf(", %.2f%% in %d days", uptime, last)
		}
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "farmer\t%s\naddress\t%s\nIP address\t%s\nplace\t%s\n", f.ID, f.Address, f.IP, place)
	fmt.Fprintf(table, "created\t%s\nonline\t%s\nstanding\t%s\nuptime\t%s\n", whenever(f.Created), yesNo(f.Uptime.Online(now)), state, uptimes)
	if online, correct := f.Evidence.Scores(now, rules.HalfLife); scoreOf(f, rules, now) != "-" {
		fmt.Fprintf(table, "score\t%s\n", scoreOf(f, rules, now))
		fmt.Fprintf(table, "intervals without a missed challenge\t%.2f%% (%.2f%% to %.2f%%)\n", 100*online.Estimate, 100*online.Lower, 100*online.Upper)
		fmt.Fprintf(table, "intervals without a wrong proof\t%.2f%% (%.2f%% to %.2f%%)\n", 100*correct.Estimate, 100*correct.Lower, 100*correct.Upper)
	}
	fmt.Fprintf(table, "contracts\t%d, %s\nheartbeats\t%d, the last %s\nlast due\t%s\n", f.Contracts, humanize.IBytes(uint64(max(f.Size, 0))),
		f.Heartbeats, whenever(f.LastHeartbeat), whenever(f.LastDue))
	if err := table.Flush(); err != nil || len(events) == 0 {
		return err
	}
	fmt.Fprintln(w)
	fmt.Fprintln(table, "TIME\tEVENT\tFILE\tDETAIL")
	for _, e := range events {
		file, detail := "-", cmp.Or(e.Detail, "-")
		if e.FileHash != (node.FileHash{}) {
			file = e.FileHash.String()
		}
		if e.FaultID != 0 {
			detail = fmt.Sprintf("fault %d of the node", e.FaultID)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", whenever(e.At), e.Kind, file, detail)
	}
	return table.Flush()
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
			return audit(ctx, st, "suspended farmer %s: %s", id, reason)
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
			f, err := st.Farmer(ctx, id, now)
			if err == nil && f.Suspension == (node.Suspension{}) {
				fmt.Fprintf(cmd.OutOrStdout(), "farmer %s was not suspended; nothing was changed\n", id)
				return nil
			}
			if err == nil {
				err = st.Lift(ctx, id, reason, now)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "the suspension of farmer %s is lifted\n", id)
			return audit(ctx, st, "lifted the suspension of farmer %s", id)
		})
	}
	return cmd
}

// onFarmer runs do for the farmer with this id.
func onFarmer(cmd *cobra.Command, text string, do func(ctx context.Context, st *store.Store, id string, now time.Time) error) error {
	id, ok := node.ParseFarmerID(text)
	if !ok {
		return fmt.Errorf("%q is not a farmer id; `farmers list` and the status page have the ids, of 20 hex digits", text)
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
