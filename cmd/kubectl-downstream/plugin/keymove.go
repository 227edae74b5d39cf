package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers/desired"
	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
)

func newKeyExportCommand(access *clusterAccess) *cobra.Command {
	var e encryption
	var rotation int32
	cmd := &cobra.Command{
		Use:   "export NAME FILE",
		Short: "Write a node's heartbeat key to a file",
		Long: "Writes a node's heartbeat key to a file that only you can read. Without one of the flags for\n" +
			"age, the file has the key itself: a person who has it can forge proofs. The command replaces no\n" +
			"file. You need the right to get secrets.",
		Example: "  kubectl downstream key export downstream key.age --recipient age1...",
		Args:    nodeFirst(cobra.ExactArgs(2)),
	}
	e.addFlags(cmd)
	rotationFlag(cmd, &rotation, "the rotation of the key; by default that of the newest key")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return onNode(access, func(ctx context.Context, cmd *cobra.Command, c *cluster, name string) error {
			node, err := c.node(ctx, name)
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("rotation") {
				rotation = (&desired.Node{DownstreamNode: node}).Rotation()
			}
			return c.exportKey(cmd, node, rotation, args[1], &e)
		})(cmd, args)
	}
	return cmd
}

func rotationFlag(cmd *cobra.Command, rotation *int32, usage string) {
	cmd.Flags().Int32Var(rotation, "rotation", 0, usage)
}

// exportKey writes the key of a rotation to a file.
func (c *cluster) exportKey(cmd *cobra.Command, node *v1.DownstreamNode, rotation int32, path string, e *encryption) error {
	secretName, file, hb, err := c.storedKey(cmd.Context(), node, rotation)
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("the Secret %s does not exist; `kubectl downstream key list %s` shows the keys", secretName, node.Name)
	}
	if err != nil {
		return err
	}
	print := schemes.Fingerprint(hb)
	keys := keysOf(node)
	if known := fingerprintOf(keys, rotation); known != "" && known != print {
		return fmt.Errorf("the Secret %s has the key %.12s, but the node's key is %.12s; it was not exported", secretName, print, known)
	}
	content, err := e.encrypt(cmd, file)
	if err != nil {
		return err
	}
	// O_EXCL: the command must not replace another key.
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = out.Write(content)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: wrote the key %.12s of rotation %d to %s\n", node.Name, print, rotation, path)
	for _, other := range keys {
		if other.Rotation != rotation && other.State != v1.KeyRetired {
			fmt.Fprintf(cmd.ErrOrStderr(), "The node also needs the key %.12s: export it with --rotation %d.\n", other.Fingerprint, other.Rotation)
		}
	}
	return nil
}

// storedKey reads the key in the Secret of a rotation.
func (c *cluster) storedKey(ctx context.Context, node *v1.DownstreamNode, rotation int32) (name string, file []byte, hb heartbeat.Heartbeat, err error) {
	name, entry := (&desired.Node{DownstreamNode: node}).KeySecret(rotation)
	secret := &corev1.Secret{}
	if err := c.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: name}, secret); err != nil {
		return name, nil, nil, err
	}
	file = secret.Data[entry]
	if hb, err = schemes.ParseFile(file); err != nil { // the error may quote the file
		return name, nil, nil, fmt.Errorf("the key %s of the Secret %s is not a private heartbeat file", entry, name)
	}
	return name, file, hb, nil
}

// keysOf returns the keys in a node's status. An older operator records only one.
func keysOf(node *v1.DownstreamNode) []v1.RotatedKeyStatus {
	if keys := node.Status.HeartbeatKeys; len(keys) > 0 || node.Status.HeartbeatKey.Fingerprint == "" {
		return keys
	}
	return []v1.RotatedKeyStatus{{HeartbeatKeyStatus: node.Status.HeartbeatKey}}
}

func fingerprintOf(keys []v1.RotatedKeyStatus, rotation int32) string {
	for _, key := range keys {
		if key.Rotation == rotation {
			return key.Fingerprint
		}
	}
	return ""
}

func newKeyImportCommand(access *clusterAccess) *cobra.Command {
	var d decryption
	var rotation int32
	cmd := &cobra.Command{
		Use:   "import NAME FILE",
		Short: "Create the Secret of a node's heartbeat key from a file",
		Long: "Creates the Secret of a heartbeat key from a file of `key export`. The node need not exist\n" +
			"yet: import its keys first, then apply it. The command replaces no other key: it fails if the\n" +
			"Secret or the status of the node has another one. You need the rights to get and create secrets.",
		Example: "  kubectl downstream key import downstream key.age --identity identity.txt",
		Args:    nodeFirst(cobra.ExactArgs(2)),
	}
	d.addFlags(cmd)
	rotationFlag(cmd, &rotation, "the rotation of the key; by default that of the key in the status of the node, or 0")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return onNode(access, func(ctx context.Context, cmd *cobra.Command, c *cluster, name string) error {
			file, hb, err := d.readKeyFile(cmd, args[1])
			if err != nil {
				return err
			}
			var wanted *int32
			if cmd.Flags().Changed("rotation") {
				wanted = &rotation
			}
			return c.importKey(cmd, name, file, hb, wanted)
		})(cmd, args)
	}
	return cmd
}

// importKey creates the Secret of a key. rotation is nil if the user did not name one.
func (c *cluster) importKey(cmd *cobra.Command, name string, file []byte, hb heartbeat.Heartbeat, rotation *int32) error {
	ctx := cmd.Context()
	node, err := c.node(ctx, name)
	if apierrors.IsNotFound(err) {
		node, err = &v1.DownstreamNode{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: name}}, nil
	}
	if err != nil {
		return err
	}
	print := schemes.Fingerprint(hb)
	number, err := importRotation(node, hb, rotation)
	if err != nil {
		return err
	}
	of := desired.Node{DownstreamNode: node}
	secret := of.HeartbeatKeySecret(number, file, print)
	err = c.Create(ctx, secret, client.FieldOwner(pluginName))
	if apierrors.IsAlreadyExists(err) {
		_, _, present, err := c.storedKey(ctx, node, number)
		switch {
		case err != nil:
			return err
		case schemes.Fingerprint(present) != print:
			return fmt.Errorf("the Secret %s has another key (%.12s) than the file (%.12s), and was not changed; contracts that were made with its key cannot be checked without it. If nothing needs it, export it, delete the Secret, and import again", secret.Name, schemes.Fingerprint(present), print)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s: unchanged, the Secret %s has the key %.12s already\n", name, secret.Name, print)
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: made the Secret %s with the key %.12s of rotation %d\n", name, secret.Name, print, number)
	return nil
}

// importRotation returns the rotation under which a key belongs to a node. As the operator
// does, it accepts another key than the one in the status as long as no migration has
// completed: until then, no pod but the migration has used the key.
func importRotation(node *v1.DownstreamNode, hb heartbeat.Heartbeat, wanted *int32) (int32, error) {
	print, keys := schemes.Fingerprint(hb), keysOf(node)
	if want := heartbeat.Type(node.Spec.Heartbeat.Type); want != "" && hb.Type() != want {
		return 0, fmt.Errorf("the file has a key for %s, but spec.heartbeat.type of %s is %s", hb.Type(), node.Name, want)
	}
	i := slices.IndexFunc(keys, func(k v1.RotatedKeyStatus) bool { return k.Fingerprint == print })
	switch {
	case i >= 0 && wanted != nil && *wanted != keys[i].Rotation:
		return 0, fmt.Errorf("the file has the key of rotation %d, not of rotation %d", keys[i].Rotation, *wanted)
	case i >= 0:
		return keys[i].Rotation, nil
	}
	var number int32
	if wanted != nil {
		number = *wanted
	}
	if known := fingerprintOf(keys, number); known != "" && node.Status.Migration != "" {
		return 0, fmt.Errorf("the file has the key %.12s, but the key of rotation %d of %s is %.12s; nothing was imported", print, number, node.Name, known)
	}
	return number, nil
}

func newKeyVerifyCommand(access *clusterAccess) *cobra.Command {
	var d decryption
	cmd := &cobra.Command{
		Use:   "verify NAME FILE",
		Short: "Say whether a file is a heartbeat key of a node",
		Long: "Compares the key in a file with the fingerprints in the status of a node. It reads no Secret.\n" +
			"Exits with 1 if the file has another key.",
		Args: nodeFirst(cobra.ExactArgs(2)),
	}
	d.addFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return onNode(access, func(ctx context.Context, cmd *cobra.Command, c *cluster, name string) error {
			_, hb, err := d.readKeyFile(cmd, args[1])
			if err != nil {
				return err
			}
			node, err := c.node(ctx, name)
			if err != nil {
				return err
			}
			text, err := verdict(node, schemes.Fingerprint(hb))
			if err != nil {
				return fmt.Errorf("%s: %w", args[1], err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", args[1], text)
			return nil
		})(cmd, args)
	}
	return cmd
}

// verdict says which key of a node has a fingerprint. It returns an error if none has.
func verdict(node *v1.DownstreamNode, print string) (string, error) {
	keys := keysOf(node)
	if len(keys) == 0 {
		return "", noKeys(node.Name)
	}
	var prints []string
	for _, key := range keys {
		if key.Fingerprint == print {
			return fmt.Sprintf("this is the key %.12s of %s: rotation %d, %s", print, node.Name, key.Rotation, cmp.Or(key.State, "state unknown")), nil
		}
		prints = append(prints, fmt.Sprintf("%.12s", key.Fingerprint))
	}
	return "", fmt.Errorf("this is the key %.12s, which %s does not have; it has %s", print, node.Name, strings.Join(prints, ", "))
}
