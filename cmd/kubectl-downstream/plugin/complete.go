package plugin

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1alpha1"
)

// completionTimeout is how long a shell is kept waiting for a cluster.
const completionTimeout = 3 * time.Second

// completeNode offers the names of the namespace's nodes, and nothing where the
// cluster cannot be reached: a prompt is no place for errors.
func completeNode(access *clusterAccess) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		c, err := access.connect()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		return c.nodeNames(ctx), cobra.ShellCompDirectiveNoFileComp
	}
}

func (c *cluster) nodeNames(ctx context.Context) []cobra.Completion {
	var nodes v1alpha1.DownstreamNodeList
	if err := c.List(ctx, &nodes, client.InNamespace(c.namespace)); err != nil {
		return nil
	}
	names := make([]cobra.Completion, len(nodes.Items))
	for i, node := range nodes.Items {
		names[i] = node.Name
	}
	return names
}
