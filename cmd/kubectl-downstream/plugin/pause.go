package plugin

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func newPauseCommand(access *clusterAccess, paused bool) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pause NAME",
		Short: "Have the operator leave a node's objects alone",
		Long: "Has the operator change nothing about a node: its pods keep running, and edits and\n" +
			"`kubectl scale` wait until it is resumed.",
		Args: oneNode,
	}
	if !paused {
		cmd.Use = "resume NAME"
		cmd.Short = "Have the operator look after a paused node again"
		cmd.Long = "Has the operator look after a node again that was paused, and catch up with what\nwas edited meanwhile."
	}
	cmd.RunE = onCluster(access, func(ctx context.Context, cmd *cobra.Command, c *cluster, name string) error {
		return c.setPaused(ctx, cmd.OutOrStdout(), name, paused)
	})
	return cmd
}

func (c *cluster) setPaused(ctx context.Context, w io.Writer, name string, paused bool) error {
	node, err := c.node(ctx, name)
	if err != nil {
		return err
	}
	verb := "resumed"
	if paused {
		verb = "paused"
	}
	if node.Spec.Paused == paused {
		fmt.Fprintf(w, "%s: not changed, it is %s already\n", name, verb)
		return nil
	}
	before := node.DeepCopy()
	node.Spec.Paused = paused
	if err := c.Patch(ctx, node, client.MergeFrom(before), client.FieldOwner(pluginName)); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s: %s\n", name, verb)
	return nil
}
