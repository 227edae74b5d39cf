package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers/desired"
)

func newReportCommand(access *clusterAccess) *cobra.Command {
	var output string
	var since time.Duration
	var tail int64
	cmd := &cobra.Command{
		Use:   "report NAME",
		Short: "Write a support bundle about a node, without secrets",
		Long: "Writes a zip file about a node: its status, the DownstreamNode, the objects that the operator\n" +
			"made for it, their events, the logs of all containers and of their runs before, and versions.\n\n" +
			"The bundle has no Secret. The command reads the Secrets that the node uses only to remove\n" +
			"their values from the rest. It also removes what looks like a secret: passwords in URLs and\n" +
			"data source names, private keys, tokens, and the values of all environment variables. If you\n" +
			"may not read Secrets, only the latter is removed. Look through the bundle before you publish it.",
		Example: "  kubectl downstream report downstream --since 24h",
	}
	flags := cmd.Flags()
	flags.StringVarP(&output, "output", "o", "", "the file to write; by default NAME-report-TIME.zip")
	flags.DurationVar(&since, "since", 0, "include only lines of logs that are not older than this; 0 includes all")
	flags.Int64Var(&tail, "tail", 10_000, "include the last lines of each log, at most this number; -1 includes all")
	cmd.RunE = onNode(access, func(ctx context.Context, cmd *cobra.Command, c *cluster, name string) error {
		now := time.Now()
		if output == "" {
			output = fmt.Sprintf("%s-report-%s.zip", name, now.UTC().Format("20060102T150405Z"))
		}
		r, err := c.gather(ctx, name, now)
		if err != nil {
			return err
		}
		// O_EXCL: the command must not replace another file.
		file, err := os.OpenFile(output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		err = errors.Join(r.write(ctx, file, strings.TrimSuffix(output, ".zip"), logOptions{since: since, tail: tail}), file.Close())
		if err != nil {
			return errors.Join(err, os.Remove(output))
		}
		for _, problem := range r.problems {
			fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", problem)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s: wrote %s\n", name, output)
		return nil
	})
	return cmd
}

// reportKinds are the kinds of the objects that the operator makes for a node, and of those
// that Kubernetes makes for them. A cluster may lack the last three.
var reportKinds = []schema.GroupVersionKind{
	{Group: "apps", Version: "v1", Kind: "Deployment"},
	{Group: "apps", Version: "v1", Kind: "ReplicaSet"},
	{Group: "apps", Version: "v1", Kind: "StatefulSet"},
	{Group: "batch", Version: "v1", Kind: "Job"},
	{Group: "batch", Version: "v1", Kind: "CronJob"},
	{Version: "v1", Kind: "Pod"},
	{Version: "v1", Kind: "Service"},
	{Version: "v1", Kind: "ConfigMap"},
	{Version: "v1", Kind: "PersistentVolumeClaim"},
	{Group: "policy", Version: "v1", Kind: "PodDisruptionBudget"},
	{Group: "autoscaling", Version: "v2", Kind: "HorizontalPodAutoscaler"},
	{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"},
	{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"},
	desired.HTTPRouteKind,
	desired.ServiceMonitorKind,
	desired.PodMonitorKind,
}

// report is what the plugin knows about a node for a support bundle.
type report struct {
	*cluster
	node     *v1.DownstreamNode
	now      time.Time
	objects  []unstructured.Unstructured // the DownstreamNode is the first
	secrets  map[string][]string         // the names of the Secrets' keys; nil if a Secret cannot be read
	redact   *redactor
	problems []string // what could not be read
}

func (r *report) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

// gather reads a node, its objects, and the Secrets that they refer to.
func (c *cluster) gather(ctx context.Context, name string, now time.Time) (*report, error) {
	node, err := c.node(ctx, name)
	if err != nil {
		return nil, err
	}
	r := &report{cluster: c, node: node, now: now, secrets: map[string][]string{}}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(node)
	if err != nil {
		return nil, fmt.Errorf("convert the DownstreamNode %s: %w", name, err)
	}
	r.objects = []unstructured.Unstructured{{Object: content}}
	r.objects[0].SetGroupVersionKind(v1.GroupVersion.WithKind("DownstreamNode"))
	selector := (&desired.Node{DownstreamNode: node}).Selector("")
	delete(selector, labelComponent)
	for _, kind := range reportKinds {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		err := c.List(ctx, list, client.InNamespace(c.namespace), client.MatchingLabels(selector))
		if err != nil && !meta.IsNoMatchError(err) && !apierrors.IsNotFound(err) {
			r.problem("the objects of the kind %s cannot be listed: %v", kind.Kind, err)
		}
		r.objects = append(r.objects, list.Items...)
	}
	r.redact = newRedactor(r.readSecrets(ctx), r.publicWords())
	return r, nil
}

// readSecrets returns the values of the Secrets that the objects refer to.
func (r *report) readSecrets(ctx context.Context) (values [][]byte) {
	var names []string
	for _, object := range r.objects {
		secretNames(object.Object, func(name string) { names = append(names, name) })
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		secret := &corev1.Secret{}
		err := r.Get(ctx, client.ObjectKey{Namespace: r.namespace, Name: name}, secret)
		switch {
		case apierrors.IsNotFound(err):
			r.secrets[name] = []string{"does not exist"}
		case err != nil:
			r.secrets[name] = []string{"unknown"}
			r.problem("the Secret %s cannot be read, so its values are removed only if they look like secrets: %v", name, err)
		default:
			for key, value := range secret.Data {
				r.secrets[name] = append(r.secrets[name], key)
				values = append(values, value)
			}
			slices.Sort(r.secrets[name])
		}
	}
	return values
}

// publicWords returns the names of the objects and the values of their labels. They are not
// secret, even if a Secret has the same word as a user name or a host.
func (r *report) publicWords() []string {
	words := []string{r.namespace}
	for _, object := range r.objects {
		words = append(words, object.GetName())
		for _, value := range object.GetLabels() {
			words = append(words, value)
		}
	}
	return words
}

// maxLog is the maximum number of bytes of a log in a bundle.
const maxLog = 64 << 20

// readLog returns the log of a source without secrets.
func (r *report) readLog(ctx context.Context, source logSource, opt logOptions) (string, error) {
	log, err := r.openLog(ctx, source, opt.request())
	if err != nil {
		return "", err
	}
	defer log.close()
	text, err := io.ReadAll(io.LimitReader(log.stream, maxLog))
	if err != nil {
		return "", fmt.Errorf("read the log of %s in the pod %s: %w", source.container, source.pod, err)
	}
	return r.redact.log(string(text)), nil
}
