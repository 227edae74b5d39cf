package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/node"
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
		&cobra.Command{
			Use:   "show ID...",
			Short: "Show dead letters in full: the whole reason, the worker and the job",
			Args:  cobra.MinimumNArgs(1),
			RunE:  showDeadLetters,
		},
		newDeadCommand("retry", "Put dead letters back into the queue",
			"Puts the jobs of dead letters back into the queue. Workers judge their proofs as of\n"+
				"their arrival: a proof that arrived in time is still in time. Do this after you have\n"+
				"repaired the cause; otherwise the jobs become dead letters again.",
			"put back", "job",
			func(ctx context.Context, a *app.App, d queue.DeadLetter) error {
				now, err := a.Store.Now(ctx) // the clock of the workers
				if err != nil {
					return err
				}
				return a.Queue.RetryDeadLetter(ctx, d, now.Add(a.Config.API.AnswerTimeout))
			}),
		newDeadCommand("drop", "Delete dead letters",
			"Deletes dead letters. No verdict is lost: their farmers were told to send the proofs\nagain.",
			"deleted", "dead letter",
			func(ctx context.Context, a *app.App, d queue.DeadLetter) error {
				return a.Queue.DropDeadLetter(ctx, d.ID)
			}),
	)
	cmd.AddCommand(dead)
	return cmd
}

// newDeadCommand returns a command that does something with the dead letters that its
// arguments name, or with all of them. done and noun say what was done, and to what.
func newDeadCommand(name, short, long, done, noun string, do func(context.Context, *app.App, queue.DeadLetter) error) *cobra.Command {
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
			n := int64(0)
			var errs []error
			for _, d := range letters {
				if err := do(ctx, a, d); err != nil {
					errs = append(errs, err)
					continue
				}
				n++
			}
			text := done + " " + node.Counted(n, noun)
			fmt.Fprintln(cmd.OutOrStdout(), text)
			if n > 0 {
				errs = append(errs, audit(ctx, a.Store, "%s of the queue", text))
			}
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

// showDeadLetters prints all that the queue knows about some dead letters. It prints no
// proof, because people cannot read its bytes.
func showDeadLetters(cmd *cobra.Command, ids []string) error {
	return withQueue(cmd, func(ctx context.Context, a *app.App) error {
		letters, err := deadLetters(ctx, a.Queue, ids)
		if err != nil {
			return err
		}
		for i, d := range letters {
			if i > 0 {
				fmt.Fprintln(cmd.OutOrStdout())
			}
			if err := describeDeadLetter(cmd.OutOrStdout(), d); err != nil {
				return err
			}
		}
		return nil
	})
}

func describeDeadLetter(w io.Writer, d queue.DeadLetter) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "id\t%s\ntime\t%s\nworker\t%s\ndeliveries\t%d\n", d.ID, d.Time.Format(time.RFC3339), d.Consumer, d.Deliveries)
	if d.Malformed != nil {
		fmt.Fprintf(table, "job\tcannot be parsed: %v\n", d.Malformed)
	} else {
		fmt.Fprintf(table, "token\t%d\nkey\t%d\nreceived\t%s\n", d.Job.TokenID, d.Job.KeyID, d.Job.Received.UTC().Format(time.RFC3339Nano))
		for _, p := range d.Job.Proofs {
			fmt.Fprintf(table, "proof\t%s, %d bytes\n", p.FileHash, len(p.Proof))
		}
	}
	err := table.Flush()
	fmt.Fprintf(w, "reason\n%s\n", strings.ToValidUTF8(d.Reason, "?"))
	return err
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
