package plugin

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/driveshare/downstream-node/api/v1alpha1"
)

// newApplyCommand is for the chart, whose release cannot hold a DownstreamNode:
// Helm asks the API server for the kind before it has installed it. People have
// `kubectl apply`.
func newApplyCommand(access *clusterAccess) *cobra.Command {
	return &cobra.Command{
		Use:    "apply FILE",
		Short:  "Apply a DownstreamNode's manifest, as the chart's Job does",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			manifest, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			c, err := access.connect()
			if err != nil {
				return fmt.Errorf("reach the cluster: %w", err)
			}
			return c.applyNode(cmd.Context(), cmd.OutOrStdout(), manifest)
		},
	}
}

// applyNode applies a manifest on the server, so that what it does not name
// keeps the value that others gave it, such as the workers that somebody scaled.
func (c *cluster) applyNode(ctx context.Context, w io.Writer, manifest []byte) error {
	object := &unstructured.Unstructured{}
	if err := yaml.UnmarshalStrict(manifest, &object.Object); err != nil {
		return fmt.Errorf("read the manifest: %w", err)
	}
	if object.GroupVersionKind() != v1alpha1.GroupVersion.WithKind("DownstreamNode") {
		return fmt.Errorf("the manifest is of a %s, not of a DownstreamNode of %s", object.GroupVersionKind(), v1alpha1.GroupVersion)
	}
	object.SetNamespace(c.namespace)
	if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("helm"), client.ForceOwnership); err != nil {
		return fmt.Errorf("apply the DownstreamNode %s: %w", object.GetName(), err)
	}
	fmt.Fprintf(w, "%s/%s: applied\n", c.namespace, object.GetName())
	return nil
}
