package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers/desired"
	"github.com/driveshare/downstream-node/internal/program"
)

// restartedAt is the annotation of a pod template that `kubectl rollout restart` sets too.
// The operator applies only the annotations that it sets itself, so it keeps this one.
const restartedAt = "kubectl.kubernetes.io/restartedAt"

// servingRoles are the roles that a restart replaces.
var servingRoles = []desired.Role{desired.API, desired.Workers}

func newRestartCommand(access *clusterAccess) *cobra.Command {
	var role string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "restart NAME",
		Short: "Replace a node's API replicas and workers, one after another",
		Long: "Replaces a node's API replicas and workers by new ones. A pod stops only when another\n" +
			"one is ready or enough others are, so no request fails. The configuration stays the same.\n" +
			"Evaluation databases are not restarted. You need the right to patch deployments.",
		Example: "  kubectl downstream restart downstream --role workers --wait 10m",
	}
	cmd.Flags().StringVar(&role, "role", "", "replace only these pods: api or workers")
	cmd.Flags().DurationVar(&wait, "wait", 0, "wait up to this time until all pods are replaced")
	program.CompleteWith(cmd, "role", string(desired.API), string(desired.Workers))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		roles := servingRoles
		switch desired.Role(role) {
		case "":
		case desired.API, desired.Workers:
			roles = []desired.Role{desired.Role(role)}
		default:
			return fmt.Errorf("--role is %q; write api or workers", role)
		}
		return onNode(access, func(ctx context.Context, cmd *cobra.Command, c *cluster, name string) error {
			replaces, err := c.restart(ctx, cmd.OutOrStdout(), name, roles, time.Now())
			if err != nil || wait == 0 || !replaces {
				return err
			}
			if err := waitFor(ctx, wait, func(ctx context.Context) error { return c.replaced(ctx, name, roles) }); err != nil {
				return fmt.Errorf("%w after %v; see `kubectl downstream status %s`", err, wait, name)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: all pods are replaced\n", name)
			return nil
		})(cmd, args)
	}
	return cmd
}

// restart changes an annotation in the pod templates of a node's Deployments. It reports
// whether one of them has pods to replace. A node that hibernates has none; if it is paused
// too, the operator may not have ended them, so the Deployments say whether there are any.
func (c *cluster) restart(ctx context.Context, w io.Writer, name string, roles []desired.Role, now time.Time) (replaces bool, err error) {
	node, err := c.node(ctx, name)
	if err != nil {
		return false, err
	}
	if node.Spec.Hibernate && !node.Spec.Paused {
		return false, fmt.Errorf("%s hibernates, so it has no pods to replace; new pods start when its spec.hibernate is false again", name)
	}
	deployments, err := c.deployments(ctx, node, roles)
	if err != nil {
		return false, err
	}
	for _, d := range deployments {
		if wantedPods(d) == 0 {
			fmt.Fprintf(w, "%s: the Deployment %s has no pods to replace\n", name, d.Name)
			continue
		}
		patch := client.MergeFrom(d.DeepCopy())
		if d.Spec.Template.Annotations == nil {
			d.Spec.Template.Annotations = map[string]string{}
		}
		d.Spec.Template.Annotations[restartedAt] = now.UTC().Format(time.RFC3339)
		if err := c.Patch(ctx, d, patch, client.FieldOwner(pluginName)); err != nil {
			return replaces, fmt.Errorf("restart the Deployment %s: %w", d.Name, err)
		}
		replaces = true
		fmt.Fprintf(w, "%s: the pods of the Deployment %s are being replaced\n", name, d.Name)
	}
	return replaces, nil
}

// wantedPods is the number of pods that a Deployment asks for.
func wantedPods(d *appsv1.Deployment) int32 { return ptr.Deref(d.Spec.Replicas, 1) }

// deployments reads the Deployments of a node's roles.
func (c *cluster) deployments(ctx context.Context, node *v1.DownstreamNode, roles []desired.Role) ([]*appsv1.Deployment, error) {
	of := desired.Node{DownstreamNode: node}
	deployments := make([]*appsv1.Deployment, len(roles))
	for i, role := range roles {
		d := &appsv1.Deployment{}
		err := c.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: of.ObjectName(role)}, d)
		switch {
		case apierrors.IsNotFound(err):
			return nil, fmt.Errorf("the operator has not made the Deployment %s yet; see `kubectl downstream status %s`", of.ObjectName(role), node.Name)
		case err != nil:
			return nil, err
		case !of.Ours(d):
			return nil, fmt.Errorf("the Deployment %s does not belong to the node %s, so it was not restarted", d.Name, node.Name)
		}
		deployments[i] = d
	}
	return deployments, nil
}

// replaced returns an error until every pod of the Deployments has the newest template and
// is available.
func (c *cluster) replaced(ctx context.Context, name string, roles []desired.Role) error {
	node, err := c.node(ctx, name)
	if err != nil {
		return err
	}
	deployments, err := c.deployments(ctx, node, roles)
	if err != nil {
		return err
	}
	var waits []string
	for _, d := range deployments {
		want, s := wantedPods(d), d.Status
		if s.ObservedGeneration < d.Generation || s.UpdatedReplicas < want || s.Replicas > s.UpdatedReplicas || s.AvailableReplicas < want {
			waits = append(waits, fmt.Sprintf("%s has replaced %d of %d pods", d.Name, s.UpdatedReplicas, want))
		}
	}
	if len(waits) > 0 {
		return errors.New(strings.Join(waits, ", "))
	}
	return nil
}
