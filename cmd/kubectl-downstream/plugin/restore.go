package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers/desired"
	"github.com/driveshare/downstream-node/internal/backup"
	"github.com/driveshare/downstream-node/internal/store/migrations"
)

// The values of v1.RestoreAnnotation. If a restore finds "loading", an earlier one has ended
// before the dump was complete. Then no pod has used the database, so its tables can be
// deleted.
const (
	restoreWaiting = "waiting"
	restoreLoading = "loading"
)

// restoreOptions are the flags of restore.
type restoreOptions struct {
	from, identity, manifest string
	wait                     time.Duration
}

func newRestoreCommand(access *clusterAccess) *cobra.Command {
	var opt restoreOptions
	cmd := &cobra.Command{
		Use:   "restore NAME --from FILE --identity KEYFILE",
		Short: "Make a node from a backup",
		Long: "Makes a node with an evaluation database from a backup that spec.backup wrote: the Secrets\n" +
			"with the heartbeat keys, the DownstreamNode of the backup, or that of --manifest, and the\n" +
			"records. Farmers continue with the contracts of the backup, and the time since then costs\n" +
			"them nothing. The node must not exist, and its database must be empty. If the command\n" +
			"fails halfway, run it again.\n\n" +
			"The backup is decrypted here, and the identity stays here. You need the rights to create\n" +
			"Secrets, DownstreamNodes and pods/exec.",
		Example: "  kubectl downstream restore evaluation -n new --from old.evaluation-20260102T030405Z.tar.gz.age --identity key.txt",
		RunE: onNode(access, func(ctx context.Context, cmd *cobra.Command, c *cluster, name string) error {
			return c.restore(ctx, cmd.OutOrStdout(), name, opt)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&opt.from, "from", "", "file with the backup, which the command backup fetch copies from its volume")
	flags.StringVar(&opt.identity, "identity", "", "file with the private key of age, which age-keygen wrote")
	flags.StringVar(&opt.manifest, "manifest", "", "file with the manifest of the DownstreamNode (default: the manifest in the backup)")
	flags.DurationVar(&opt.wait, "wait", 10*time.Minute, "how long to wait for the database, and then until the node is ready")
	for _, flag := range []string{"from", "identity"} {
		if err := cmd.MarkFlagRequired(flag); err != nil {
			panic(err) // impossible: the flag exists
		}
	}
	return cmd
}

// restore reads the whole backup before it changes the cluster, so that a damaged backup
// changes nothing.
func (c *cluster) restore(ctx context.Context, out io.Writer, name string, opt restoreOptions) error {
	identity, err := os.ReadFile(opt.identity)
	if err != nil {
		return err
	}
	file, err := os.Open(opt.from)
	if err != nil {
		return err
	}
	defer file.Close()
	b, err := backup.Open(file, identity)
	if err != nil {
		return err
	}
	if _, err := b.WriteTo(io.Discard); err != nil {
		return err
	}
	if b.SQLite {
		return errors.New("this is the backup of a standalone node, whose database only another standalone node can use: run `downstream-node restore`")
	}
	if latest := migrations.Latest(); b.Schema > latest {
		return fmt.Errorf("the tables of the backup have version %d, and this plugin knows versions up to %d: use the plugin and the image of the version %s, which wrote the backup", b.Schema, latest, b.Version)
	}
	node, err := restoredNode(name, c.namespace, b, opt.manifest)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "the backup of %s from %s has %s and %s\n", b.Node, b.Created.Format(time.RFC3339),
		english.Plural(int(b.Contracts), "contract", ""), english.Plural(len(b.Keys), "heartbeat key", ""))
	if err := c.makeNode(ctx, out, node, b.Keys); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if b, err = backup.Open(file, identity); err != nil {
		return err
	}
	if err := c.loadDump(ctx, out, node, b, opt.wait); err != nil {
		return err
	}
	return c.awaitRestored(ctx, out, node, opt.wait)
}

// restoredNode returns the node to create.
func restoredNode(name, namespace string, b *backup.Reader, manifest string) (*v1.DownstreamNode, error) {
	text := []byte(b.Resource)
	if manifest != "" {
		var err error
		if text, err = os.ReadFile(manifest); err != nil {
			return nil, err
		}
	}
	if len(text) == 0 {
		return nil, errors.New("the backup has no manifest of a DownstreamNode: name one with --manifest")
	}
	node := &v1.DownstreamNode{}
	if err := yaml.UnmarshalStrict(text, node); err != nil {
		return nil, fmt.Errorf("read the manifest of the DownstreamNode: %w", err)
	}
	if node.Spec.MySQL.Evaluation == nil {
		return nil, errors.New("the DownstreamNode has no mysql.evaluation: restore an external database by its own means; docs/how-to/backups.md says how")
	}
	node.Name, node.Namespace = name, namespace
	node.Spec.Paused, node.Spec.Hibernate = false, false // otherwise the database and the pods would not start
	if node.Annotations == nil {
		node.Annotations = map[string]string{}
	}
	node.Annotations[v1.RestoreAnnotation] = restoreWaiting
	return node, nil
}

// keySecrets returns the Secrets with the keys of a backup, for a node.
func keySecrets(node *v1.DownstreamNode, keys []backup.Key) ([]*corev1.Secret, error) {
	of := desired.Node{DownstreamNode: node}
	var secrets []*corev1.Secret
	for _, k := range keys {
		rotation, err := desired.RotationOf(k.Name)
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, of.HeartbeatKeySecret(rotation, k.File, k.Fingerprint))
	}
	return secrets, nil
}

// makeNode creates the Secrets with the keys and then the node: otherwise the operator would
// make another key. It changes nothing if one of them exists and does not fit, or if the API
// server refuses the node.
func (c *cluster) makeNode(ctx context.Context, out io.Writer, node *v1.DownstreamNode, keys []backup.Key) error {
	live, err := c.node(ctx, node.Name)
	exists := !apierrors.IsNotFound(err)
	switch {
	case !exists:
		checked := node.DeepCopy()
		if err := c.Create(ctx, checked, client.DryRunAll, client.FieldOwner(pluginName)); err != nil {
			return err
		}
		node.Spec = checked.Spec // with defaults
	case err != nil:
		return err
	default:
		if live.Annotations[v1.RestoreAnnotation] == "" {
			return fmt.Errorf("the DownstreamNode %s exists in %s: delete it and the claim of its database, data-%[1]s-mysql-0, or restore with another name or into another namespace", node.Name, node.Namespace)
		}
		live.DeepCopyInto(node) // an earlier restore, or a manifest with the annotation
		if node.Status.Migration != "" || node.Spec.MySQL.Evaluation == nil {
			return fmt.Errorf("the DownstreamNode %s uses its database already, so nothing can be restored into it", node.Name)
		}
	}
	secrets, err := keySecrets(node, keys)
	if err != nil {
		return err
	}
	var missing []*corev1.Secret
	for _, secret := range secrets {
		live := &corev1.Secret{}
		err := c.Get(ctx, client.ObjectKeyFromObject(secret), live)
		switch {
		case apierrors.IsNotFound(err):
			missing = append(missing, secret)
		case err != nil:
			return err
		default:
			for name, file := range secret.Data {
				if !bytes.Equal(live.Data[name], file) {
					return fmt.Errorf("the Secret %s exists and has another heartbeat key than the backup: if nothing needs that key, back it up and delete the Secret; otherwise restore with another name or into another namespace", secret.Name)
				}
			}
		}
	}
	for _, secret := range missing {
		if err := c.Create(ctx, secret, client.FieldOwner(pluginName)); err != nil {
			return err
		}
		fmt.Fprintf(out, "made the Secret %s\n", secret.Name)
	}
	if exists {
		return nil
	}
	if err := c.Create(ctx, node, client.FieldOwner(pluginName)); err != nil {
		return err
	}
	fmt.Fprintf(out, "made the DownstreamNode %s; its database starts\n", node.Name)
	return nil
}

// loadDump waits for the node's database, and loads the dump into it.
func (c *cluster) loadDump(ctx context.Context, out io.Writer, node *v1.DownstreamNode, b *backup.Reader, wait time.Duration) error {
	of := desired.Node{DownstreamNode: node}
	at := target{node.Namespace, of.ObjectName(desired.MySQL) + "-0", string(desired.MySQL)}
	var pod corev1.Pod
	err := waitFor(ctx, wait, func(ctx context.Context) error {
		err := c.Get(ctx, client.ObjectKey{Namespace: at.namespace, Name: at.pod}, &pod)
		if err == nil && !podReady(&pod) {
			err = errors.New("it is not ready")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("the pod %s of the database did not start within %v (%w); see `kubectl downstream status %s`, and run this command again", at.pod, wait, err, node.Name)
	}
	tables, err := c.tables(ctx, at)
	if err != nil {
		return err
	}
	if len(tables) > 0 && node.Annotations[v1.RestoreAnnotation] != restoreLoading {
		return fmt.Errorf("the database of %s is not empty (it has the table %s and %d others), maybe because its claim was kept: if nobody needs it, delete the node, the claim data-%s-0 and this node's pods, and run this command again", node.Name, tables[0], len(tables)-1, of.ObjectName(desired.MySQL))
	}
	if err := c.annotate(ctx, node, restoreLoading); err != nil {
		return err
	}
	if len(tables) > 0 {
		statement := "SET foreign_key_checks = 0; DROP TABLE `" + strings.Join(tables, "`, `") + "`;"
		if err := c.run(ctx, at, desired.MySQLClient(), strings.NewReader(statement), nil, nil); err != nil {
			return fmt.Errorf("delete the tables of an earlier restore: %w", err)
		}
	}
	fmt.Fprintf(out, "loading %d MiB into the database\n", b.DumpBytes>>20)
	from, to := io.Pipe()
	go func() {
		_, err := b.WriteTo(to)
		to.CloseWithError(err)
	}()
	err = c.run(ctx, at, desired.MySQLClient(), from, nil, nil)
	from.Close()
	if err != nil {
		return fmt.Errorf("load the dump: %w; run this command again", err)
	}
	return c.annotate(ctx, node, "")
}

// tables lists the tables of the database.
func (c *cluster) tables(ctx context.Context, at target) ([]string, error) {
	var names bytes.Buffer
	if err := c.run(ctx, at, desired.MySQLClient(), strings.NewReader("SHOW TABLES;"), &names, nil); err != nil {
		return nil, fmt.Errorf("list the tables of the database: %w", err)
	}
	return strings.Fields(names.String()), nil
}

// annotate sets the state of the restore. An empty state ends the restore.
func (c *cluster) annotate(ctx context.Context, node *v1.DownstreamNode, state string) error {
	patch := client.MergeFrom(node.DeepCopy())
	if state == "" {
		delete(node.Annotations, v1.RestoreAnnotation)
	} else {
		node.Annotations[v1.RestoreAnnotation] = state
	}
	return c.Patch(ctx, node, patch, client.FieldOwner(pluginName))
}

// awaitRestored waits until farmers can use the node.
func (c *cluster) awaitRestored(ctx context.Context, out io.Writer, node *v1.DownstreamNode, wait time.Duration) error {
	fmt.Fprintln(out, "the records are restored; the operator migrates the database and starts the pods")
	why := ""
	err := waitFor(ctx, wait, func(ctx context.Context) error {
		live, err := c.node(ctx, node.Name)
		if err != nil {
			return err
		}
		ready := false
		if ready, why = readiness(live); !ready {
			return errNotReady
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("the records are restored, but the node is not ready within %v (%s); see `kubectl downstream status %s`", wait, why, node.Name)
	}
	fmt.Fprintf(out, "%s is %s; farmers continue with the contracts of the backup\n", node.Name, why)
	return nil
}
