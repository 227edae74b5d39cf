package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers/desired"
)

func newKeyCommand(access *clusterAccess) *cobra.Command {
	var compromised bool
	list := &cobra.Command{
		Use:   "list NAME",
		Short: "List a node's heartbeat keys",
		Long: "Lists a node's heartbeat keys, the newest first, from the status of the node. If a key\n" +
			"is retired, nothing needs it, and its Secret can be deleted.",
		RunE: onNode(access, func(ctx context.Context, cmd *cobra.Command, c *cluster, name string) error {
			return c.printKeys(ctx, cmd.OutOrStdout(), name)
		}),
	}
	rotate := &cobra.Command{
		Use:   "rotate NAME",
		Short: "Replace a node's heartbeat key",
		Long: "Replaces a node's heartbeat key: raises spec.heartbeat.rotation by one. The operator makes\n" +
			"a new key and restarts the pods one after another. The node keeps the old key until nothing\n" +
			"needs it, so farmers lose no contract.",
		RunE: onNode(access, func(ctx context.Context, cmd *cobra.Command, c *cluster, name string) error {
			return c.rotateKey(ctx, cmd.OutOrStdout(), cmd.ErrOrStderr(), name, compromised)
		}),
	}
	rotate.Flags().BoolVar(&compromised, "compromised", false, "another person may know the present keys, so contracts that cannot move to the new key complete early")
	list.Args, rotate.Args = oneNode, oneNode
	cmd := &cobra.Command{Use: "key", Short: "List, replace, export, import or verify a node's heartbeat keys"}
	cmd.AddCommand(list, rotate, newKeyExportCommand(access), newKeyImportCommand(access), newKeyVerifyCommand(access))
	for _, c := range cmd.Commands() {
		c.ValidArgsFunction = completeNodeAndFile(access)
	}
	return cmd
}

func noKeys(name string) error {
	return fmt.Errorf("the status of %s has no heartbeat keys yet; see `kubectl downstream status %[1]s`", name)
}

func (c *cluster) printKeys(ctx context.Context, w io.Writer, name string) error {
	node, err := c.node(ctx, name)
	if err != nil {
		return err
	}
	if len(node.Status.HeartbeatKeys) == 0 {
		return noKeys(name)
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "ROTATION\tFINGERPRINT\tSTATE\tCONTRACTS LEFT\tSECRET")
	for _, key := range node.Status.HeartbeatKeys {
		contracts := "-"
		if key.Contracts != nil {
			contracts = fmt.Sprint(*key.Contracts)
		}
		fmt.Fprintf(out, "%d\t%.12s\t%s\t%s\t%s\n", key.Rotation, key.Fingerprint, cmp.Or(key.State, "unknown"), contracts, key.SecretName)
	}
	return out.Flush()
}

// rotateKey replaces a node's key. The patch fails if the node has changed since it was
// read, so that two calls at the same time do not replace the key twice.
func (c *cluster) rotateKey(ctx context.Context, out, errs io.Writer, name string, compromised bool) error {
	node, err := c.node(ctx, name)
	if err != nil {
		return err
	}
	patch := client.MergeFromWithOptions(node.DeepCopy(), client.MergeFromWithOptimisticLock{})
	of, h := desired.Node{DownstreamNode: node}, &node.Spec.Heartbeat
	h.Rotation = of.Rotation() + 1
	want := h.Rotation
	if compromised {
		for _, key := range node.Status.HeartbeatKeys {
			print := v1.Fingerprint(key.Fingerprint)
			if key.State != v1.KeyRetired && !slices.Contains(h.Compromised, print) {
				h.Compromised = append(h.Compromised, print)
			}
		}
		if len(h.Compromised) == 0 {
			return fmt.Errorf("the status of %s has no heartbeat keys yet, so none can be compromised; see `kubectl downstream status %[1]s`", name)
		}
	}
	err = c.Patch(ctx, node, patch, client.FieldOwner(pluginName))
	if apierrors.IsConflict(err) {
		return fmt.Errorf("%s changed at the same time, so its key was not replaced; see `kubectl downstream key list %[1]s`, and run the command again if the key is still to be replaced", name)
	}
	if err != nil {
		return err
	}
	if h.Rotation != want {
		return errors.New("the cluster's CRD has no spec.heartbeat.rotation; upgrade the CRD and the operator")
	}
	secret, _ := of.KeySecret(want)
	fmt.Fprintf(out, "%s: the operator makes a new heartbeat key in the Secret %s, and restarts the pods one after another\n", name, secret)
	if compromised {
		fmt.Fprintln(out, "The node completes early those contracts of the keys in spec.heartbeat.compromised that cannot move to the new key, and replaces them.")
	}
	fmt.Fprintf(out, "Back up this Secret. Keep the older ones until `kubectl downstream key list %s` shows their keys as %s.\n", name, v1.KeyRetired)
	warnIfDelayed(errs, node)
	return nil
}
