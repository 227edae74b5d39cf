package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/program"
	"github.com/driveshare/downstream-node/internal/queue"
)

func newQueueCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "queue", Short: "Maintain the queue between API and workers"}
	dead := &cobra.Command{
		Use:   "dead",
		Short: "Maintain the dead letters: the jobs that workers could not judge",
	}
	dead.AddCommand(
		&cobra.Command{
			Use:   "list",
			Short: "List the dead letters, the oldest first",
			Args:  cobra.NoArgs,
			RunE:  listDeadLetters,
		},
		newDeadCommand("retry", "Put dead letters back into the queue",
			"Puts the jobs of dead letters back into the queue. Workers judge their proofs as of\n"+
				"their arrival: a proof that arrived in time is still in time. Do this after you have\n"+
				"repaired the cause; otherwise the jobs become dead letters again.",
			"put back %d jobs\n",
			func(ctx context.Context, a *app.App, d queue.DeadLetter) error {
				now, err := a.Store.Now(ctx) // the clock of the workers
				if err != nil {
					return err
				}
				return a.Queue.RetryDeadLetter(ctx, d, now.Add(a.Config.API.AnswerTimeout))
			}),
		newDeadCommand("drop", "Delete dead letters",
			"Deletes dead letters. No verdict is lost: their farmers were told to send the proofs\nagain.",
			"deleted %d dead letters\n",
			func(ctx context.Context, a *app.App, d queue.DeadLetter) error {
				return a.Queue.DropDeadLetter(ctx, d.ID)
			}),
	)
	cmd.AddCommand(dead)
	return cmd
}

// newDeadCommand returns a command that does something with the dead letters that its
// arguments name, or with all of them.
func newDeadCommand(name, short, long, done string, do func(context.Context, *app.App, queue.DeadLetter) error) *cobra.Command {
	var all bool
	cmd := &cobra.Command{Use: name + " ID...", Short: short, Long: long}
	cmd.Flags().BoolVar(&all, "all", false, "every dead letter")
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if all == (len(args) > 0) {
			return errors.New("name the ids that `queue dead list` prints, or use --all")
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withQueue(cmd, func(ctx context.Context, a *app.App) error {
			letters, err := deadLetters(ctx, a.Queue, args)
			if err != nil {
				return err
			}
			n := 0
			var errs []error
			for _, d := range letters {
				if err := do(ctx, a, d); err != nil {
					errs = append(errs, err)
					continue
				}
				n++
			}
			fmt.Fprintf(cmd.OutOrStdout(), done, n)
			return errors.Join(errs...)
		})
	}
	return cmd
}

// deadLetters returns the dead letters with these ids, or all if there are no ids. It
// fails if an id does not exist.
func deadLetters(ctx context.Context, q *queue.Queue, ids []string) (found []queue.DeadLetter, err error) {
	missing := slices.Clone(ids)
	err = q.DeadLetters(ctx, func(d queue.DeadLetter) error {
		if len(ids) == 0 || slices.Contains(ids, d.ID) {
			found = append(found, d)
			missing = slices.DeleteFunc(missing, func(id string) bool { return id == d.ID })
		}
		return nil
	})
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("no dead letter %s; `queue dead list` prints the ids", strings.Join(missing, ", "))
	}
	return found, err
}

// maxReason is the maximum number of bytes of a reason in the list. The worker's log has
// the whole reason.
const maxReason = 80

func listDeadLetters(cmd *cobra.Command, _ []string) error {
	return withQueue(cmd, func(ctx context.Context, a *app.App) error {
		table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tTIME\tTOKEN\tPROOFS\tREASON")
		err := a.Queue.DeadLetters(ctx, func(d queue.DeadLetter) error {
			token, proofs := "-", "-"
			if d.Malformed == nil {
				token, proofs = fmt.Sprint(d.Job.TokenID), fmt.Sprint(len(d.Job.Proofs))
			}
			reason, _, _ := strings.Cut(d.Reason, "\n") // a panic has a stack
			_, err := fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", d.ID, d.Time.Format(time.RFC3339), token, proofs,
				strings.ToValidUTF8(reason[:min(len(reason), maxReason)], ""))
			return err
		})
		return errors.Join(err, table.Flush())
	})
}

// withQueue runs do with the parts open. It fails if the node's queue is in the memory
// of another process.
func withQueue(cmd *cobra.Command, do func(context.Context, *app.App) error) error {
	cfg, err := loadConfig(cmd, app.Default())
	if err != nil {
		return err
	}
	if !cfg.Redis.Server.Configured() {
		return errors.New("the configuration names no Redis: a standalone node keeps its queue in its own memory, and it ends with the process; set redis.url, redis.urlFile or redis.addrs")
	}
	a, err := app.Open(cmd.Context(), cfg, program.NewLogger(cfg.Log, os.Stderr), app.Options{})
	if err != nil {
		return err
	}
	defer a.Close()
	return do(cmd.Context(), a)
}
