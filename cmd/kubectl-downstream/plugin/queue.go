package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/controllers/desired"
)

var errNoIDs = errors.New("name the ids that `queue dead list` prints")

func newQueueCommand(access *clusterAccess) *cobra.Command {
	dead := &cobra.Command{
		Use:   "dead",
		Short: "List, retry or delete a node's dead letters",
		Long: "Maintains a node's dead letters: the jobs that workers could not judge. Each command runs\n" +
			"`downstream-node queue dead` in a worker. You need the rights to list pods and to create\n" +
			"pods/exec.",
	}
	list := newDeadCommand(access, "list NAME", "List the dead letters, the oldest first",
		"Lists the dead letters, the oldest first, with their ids and the reasons.", oneNode)
	show := newDeadCommand(access, "show NAME ID...", "Show dead letters in full",
		"Shows dead letters in full: the whole reason, the worker that gave up, and the job. The\n"+
			"image of the node must have this command.", nodeFirst(func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return errNoIDs
			}
			return nil
		}))
	dead.AddCommand(list, show)
	for _, change := range []struct{ name, short, long string }{
		{"retry", "Put dead letters back into the queue", "Puts the jobs of dead letters back into the queue. Workers judge their proofs as of their\n" +
			"arrival. Do this after you have repaired the cause; otherwise the jobs become dead letters\nagain."},
		{"drop", "Delete dead letters", "Deletes dead letters. No verdict is lost: their farmers were told to send the proofs again."},
	} {
		cmd := newDeadCommand(access, change.name+" NAME {ID... | --all}", change.short, change.long, nil)
		all := cmd.Flags().Bool("all", false, "every dead letter")
		cmd.Args = nodeFirst(func(_ *cobra.Command, args []string) error {
			if *all == (len(args) > 1) {
				return fmt.Errorf("%w, or use --all", errNoIDs)
			}
			return nil
		})
		dead.AddCommand(cmd)
	}
	cmd := &cobra.Command{Use: "queue", Short: "Maintain the queue between API and workers"}
	cmd.AddCommand(dead)
	return cmd
}

// newDeadCommand returns a command that runs `downstream-node queue dead` with the
// subcommand of the same name and the arguments after the node's name.
func newDeadCommand(access *clusterAccess, use, short, long string, args cobra.PositionalArgs) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long, Args: args, ValidArgsFunction: completeNode(access),
		RunE: func(cmd *cobra.Command, args []string) error {
			command := append([]string{"queue", "dead", cmd.Name()}, args[1:]...)
			if all := cmd.Flags().Lookup("all"); all != nil && all.Changed {
				command = append(command, "--all")
			}
			return onNode(access, func(ctx context.Context, cmd *cobra.Command, c *cluster, name string) error {
				return c.runInWorker(ctx, cmd.OutOrStdout(), cmd.ErrOrStderr(), name, command)
			})(cmd, args)
		},
	}
}

// runInWorker runs a command of the node program in a ready worker, with the worker's
// configuration.
func (c *cluster) runInWorker(ctx context.Context, out, errs io.Writer, name string, args []string) error {
	node, err := c.node(ctx, name)
	if err != nil {
		return err
	}
	of := desired.Node{DownstreamNode: node}
	var pods corev1.PodList
	if err := c.List(ctx, &pods, client.InNamespace(c.namespace), client.MatchingLabels(of.Selector(desired.Workers))); err != nil {
		return err
	}
	for _, pod := range pods.Items {
		if podReady(&pod) {
			return c.run(ctx, target{c.namespace, pod.Name, string(desired.Workers)}, desired.Command(args...), nil, out, errs)
		}
	}
	return fmt.Errorf("no worker of %s is ready, and the command runs in a worker; see `kubectl downstream status %[1]s`", name)
}
