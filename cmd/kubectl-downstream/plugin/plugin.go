// Package plugin implements the commands of the kubectl plugin.
package plugin

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/internal/program"
)

// pluginName is the program that kubectl runs for `kubectl downstream`.
const pluginName = "kubectl-downstream"

// New returns the plugin's root command.
func New() *cobra.Command {
	cmd := NewCommand()
	cmd.Use = pluginName
	cmd.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl downstream"}
	program.Prepare(cmd)
	return cmd
}

// NewCommand returns a command for another program, with the plugin's subcommands.
func NewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kubectl",
		Short: "Manage DownstreamNodes on a cluster; also a kubectl plugin",
		Long: "Manages DownstreamNodes with the rights of the current kubeconfig. On the PATH,\n" +
			pluginName + " is the plugin `kubectl downstream`.\n\n" +
			"Without a command, it lists the nodes of all namespaces; with -n, those of one.",
		Args: cobra.NoArgs,
	}
	access := newClusterAccess(cmd.PersistentFlags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := access.connect()
		if err != nil {
			return err
		}
		return c.printNodes(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), time.Now())
	}
	commands := []*cobra.Command{
		newNodeStatusCommand(access),
		newNodeFarmersCommand(access),
		newLogsCommand(access),
		newReportCommand(access),
		newPauseCommand(access, "pause", true),
		newPauseCommand(access, "resume", false),
		newRestartCommand(access),
		newMaintenanceCommand(access),
		newRestoreCommand(access),
		newVerifyCommand(access),
	}
	for _, c := range commands {
		c.Args, c.ValidArgsFunction = oneNode, completeNode(access)
	}
	cmd.AddCommand(commands...)
	cmd.AddCommand(newKeyCommand(access), newQueueCommand(access), newBackupCommand(access), newOperatorStatusCommand(access), newApplyCommand(access))
	return cmd
}

// onNode is the RunE of a command whose only argument is the name of a node.
func onNode(access *clusterAccess, run func(context.Context, *cobra.Command, *cluster, string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := access.connect()
		if err != nil {
			return err
		}
		return run(cmd.Context(), cmd, c, nodeName(args[0]))
	}
}

// oneNode requires exactly one argument.
func oneNode(cmd *cobra.Command, args []string) error {
	return nodeFirst(cobra.ExactArgs(1))(cmd, args)
}

// nodeFirst requires the name of a node before the arguments that rest checks. rest gets
// the name too.
func nodeFirst(rest cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("NAME is missing; run `%s NAME`; `kubectl get downstreamnodes` lists the names", cmd.CommandPath())
		}
		return rest(cmd, args)
	}
}

// nodeName returns the name of a node from an argument. It accepts each form in which
// kubectl prints the name.
func nodeName(arg string) string {
	if kind, name, ok := strings.Cut(arg, "/"); ok {
		switch kind {
		case "dn", "downstreamnode", "downstreamnodes", "downstreamnode.downstream.driveshare.org":
			return name
		}
	}
	return arg
}

// completionTimeout limits how long a shell waits for the cluster.
const completionTimeout = 3 * time.Second

// completeNode offers the names of the nodes in the namespace. If the cluster cannot be
// reached, completeNode offers no names, because a shell cannot show an error.
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

// completeNodeAndFile is completeNode for a command that may take a file after the name.
func completeNodeAndFile(access *clusterAccess) cobra.CompletionFunc {
	names := completeNode(access)
	return func(cmd *cobra.Command, args []string, start string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 1 && strings.HasSuffix(cmd.Use, " FILE") {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return names(cmd, args, start)
	}
}

func (c *cluster) nodeNames(ctx context.Context) []cobra.Completion {
	var nodes v1.DownstreamNodeList
	if err := c.List(ctx, &nodes, client.InNamespace(c.namespace)); err != nil {
		return nil
	}
	names := make([]cobra.Completion, len(nodes.Items))
	for i, node := range nodes.Items {
		names[i] = node.Name
	}
	return names
}

func newPauseCommand(access *clusterAccess, name string, paused bool) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name + " NAME",
		Short: "Make the operator manage a paused node again",
		Long:  "Makes the operator manage a paused node again. It applies the edits made since the\npause.",
		RunE: onNode(access, func(ctx context.Context, cmd *cobra.Command, c *cluster, name string) error {
			return c.setPaused(ctx, cmd.OutOrStdout(), name, paused)
		}),
	}
	if paused {
		cmd.Short = "Make the operator stop changing a node's objects"
		cmd.Long = "Makes the operator change nothing about a node. Its pods keep running. Edits and\n" +
			"`kubectl scale` take effect only after it is resumed."
	}
	return cmd
}

func (c *cluster) setPaused(ctx context.Context, w io.Writer, name string, paused bool) error {
	node, err := c.node(ctx, name)
	if err != nil {
		return err
	}
	state := "resumed"
	if paused {
		state = "paused"
	}
	if node.Spec.Paused == paused {
		fmt.Fprintf(w, "%s: unchanged, it is already %s\n", name, state)
		return nil
	}
	patch := client.MergeFrom(node.DeepCopy())
	node.Spec.Paused = paused
	if err := c.Patch(ctx, node, patch, client.FieldOwner(pluginName)); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s: %s\n", name, state)
	return nil
}

// warnIfDelayed warns that a change of a node's spec has no effect yet.
func warnIfDelayed(errs io.Writer, node *v1.DownstreamNode) {
	const awake = "its spec.hibernate is false again"
	resumed := fmt.Sprintf("`kubectl downstream resume %s`", node.Name)
	switch {
	case node.Spec.Paused && node.Spec.Hibernate:
		fmt.Fprintf(errs, "warning: %s is paused and hibernates, so this takes effect after %s, when %s\n", node.Name, resumed, awake)
	case node.Spec.Paused:
		fmt.Fprintf(errs, "warning: %s is paused, so this takes effect after %s\n", node.Name, resumed)
	case node.Spec.Hibernate:
		fmt.Fprintf(errs, "warning: %s hibernates, so this takes effect when %s\n", node.Name, awake)
	}
}

// newApplyCommand makes a command for the chart. A Helm release cannot contain a
// DownstreamNode, because Helm looks up the kind before it installs the CRD. People use
// `kubectl apply` instead.
func newApplyCommand(access *clusterAccess) *cobra.Command {
	return &cobra.Command{
		Use:    "apply FILE",
		Short:  "Apply a DownstreamNode's manifest; for the chart's Job",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			manifest, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			c, err := access.connect()
			if err != nil {
				return err
			}
			return c.applyNode(cmd.Context(), cmd.OutOrStdout(), manifest)
		},
	}
}

// applyNode applies a manifest by server-side apply. Fields that the manifest does not
// set keep their value, for example the number of workers.
func (c *cluster) applyNode(ctx context.Context, w io.Writer, manifest []byte) error {
	object := &unstructured.Unstructured{}
	if err := yaml.UnmarshalStrict(manifest, &object.Object); err != nil {
		return fmt.Errorf("read the manifest: %w", err)
	}
	want := v1.GroupVersion.WithKind("DownstreamNode")
	if object.GroupVersionKind().GroupKind() != want.GroupKind() { // it may have the deprecated version
		return fmt.Errorf("the manifest has the kind %s, not %s", object.GroupVersionKind(), want)
	}
	object.SetNamespace(c.namespace)
	if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("helm"), client.ForceOwnership); err != nil {
		return fmt.Errorf("apply the DownstreamNode %s: %w", object.GetName(), err)
	}
	fmt.Fprintf(w, "%s/%s: applied\n", c.namespace, object.GetName())
	return nil
}
