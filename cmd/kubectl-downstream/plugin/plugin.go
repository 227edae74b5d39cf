// Package plugin is the commands of the kubectl plugin.
package plugin

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// pluginName is what kubectl looks for on the PATH to run `kubectl downstream`.
const pluginName = "kubectl-downstream"

// New returns the plugin's root command.
func New() *cobra.Command {
	cmd := NewCommand()
	cmd.Use = pluginName
	cmd.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl downstream"}
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	return cmd
}

// NewCommand returns the plugin's commands as a command of another program.
func NewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kubectl",
		Short: "Manage DownstreamNodes on a cluster; also a kubectl plugin",
		Long: "Manages DownstreamNodes with the rights of the current kubeconfig. On the PATH,\n" +
			pluginName + " is the plugin `kubectl downstream`.",
	}
	access := newClusterAccess(cmd.PersistentFlags())
	onNode := []*cobra.Command{
		newNodeStatusCommand(access),
		newNodeFarmersCommand(access),
		newPauseCommand(access, true),
		newPauseCommand(access, false),
	}
	for _, c := range onNode {
		c.ValidArgsFunction = completeNode(access)
	}
	cmd.AddCommand(onNode...)
	cmd.AddCommand(
		newOperatorStatusCommand(access),
		newApplyCommand(access),
	)
	return cmd
}

// onCluster is a RunE for a command whose one argument names a node.
func onCluster(access *clusterAccess, run func(context.Context, *cobra.Command, *cluster, string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := access.connect()
		if err != nil {
			return fmt.Errorf("reach the cluster: %w", err)
		}
		return run(cmd.Context(), cmd, c, nodeName(args[0]))
	}
}

// oneNode wants the name of a node, and nothing else.
func oneNode(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("NAME is missing: say `%s NAME`; `kubectl get downstreamnodes` lists the names", cmd.CommandPath())
	}
	return cobra.ExactArgs(1)(cmd, args)
}

// nodeName takes the forms in which kubectl itself prints a node's name.
func nodeName(arg string) string {
	if kind, name, ok := strings.Cut(arg, "/"); ok {
		switch kind {
		case "dn", "downstreamnode", "downstreamnodes", "downstreamnode.downstream.driveshare.org":
			return name
		}
	}
	return arg
}
