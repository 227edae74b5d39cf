package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/controllers/desired"
)

func newVerifyCommand(access *clusterAccess) *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "verify NAME",
		Short: "Check that a node, its database and its heartbeat keys fit together",
		Long: "Checks that a node, its database and its heartbeat keys fit together, for example after the\n" +
			"database was restored from a backup. It runs `downstream-node db verify` in a pod of its\n" +
			"own, because the pods of a node that lacks a key do not run. Exits with 1 if something\n" +
			"does not fit, and says what to do. You need the rights to get Deployments, and to create,\n" +
			"delete and read pods and their logs.",
		RunE: onNode(access, func(ctx context.Context, cmd *cobra.Command, c *cluster, name string) error {
			return c.verify(ctx, cmd.OutOrStdout(), name, wait)
		}),
	}
	cmd.Flags().DurationVar(&wait, "wait", 2*time.Minute, "how long to wait for the pod")
	return cmd
}

// verify runs `db verify` in a copy of an API pod, which has the configuration, the keys and
// the node's changes of pods.
func (c *cluster) verify(ctx context.Context, out io.Writer, name string, wait time.Duration) error {
	node, err := c.node(ctx, name)
	if err != nil {
		return err
	}
	of := desired.Node{DownstreamNode: node}
	deployment := &appsv1.Deployment{}
	if err := c.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: of.ObjectName(desired.API)}, deployment); err != nil {
		return fmt.Errorf("%w; the operator makes the API after it has migrated the database: `kubectl downstream status %s` says what is wrong", err, name)
	}
	template := deployment.Spec.Template
	spec := *template.Spec.DeepCopy()
	spec.RestartPolicy = corev1.RestartPolicyNever
	spec.TopologySpreadConstraints = nil
	main := &spec.Containers[0]
	main.Args = append([]string{"db", "verify"}, main.Args[len(main.Args)-2:]...) // --config FILE
	main.StartupProbe, main.LivenessProbe, main.ReadinessProbe, main.Ports = nil, nil, nil, nil
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: name + "-verify-", Namespace: c.namespace,
			// The network policies let pods of this role connect to the database. No Service
			// selects them.
			Labels: of.Selector(desired.Migration),
		},
		Spec: spec,
	}
	if err := c.Create(ctx, pod, client.FieldOwner(pluginName)); err != nil {
		return fmt.Errorf("make a pod for the check: %w", err)
	}
	defer c.Delete(context.WithoutCancel(ctx), pod) //nolint:errcheck // the check is done
	var ended *corev1.ContainerStateTerminated
	err = waitFor(ctx, wait, func(ctx context.Context) error {
		if err := c.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
			return err
		}
		for _, s := range pod.Status.ContainerStatuses {
			if s.Name == main.Name && s.State.Terminated != nil {
				ended = s.State.Terminated
				return nil
			}
		}
		return errors.New("it has not ended")
	})
	if err != nil {
		return fmt.Errorf("the pod %s did not end within %v (%w); see `kubectl describe pod %[1]s`", pod.Name, wait, err)
	}
	text, err := c.core.Pods(c.namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: main.Name}).DoRaw(ctx)
	if err != nil {
		return fmt.Errorf("read the log of the pod %s: %w", pod.Name, err)
	}
	if _, err := out.Write(text); err != nil {
		return err
	}
	if ended.ExitCode != 0 {
		return errNotReady // the log says why
	}
	fmt.Fprintf(out, "%s, its database and its heartbeat keys fit together\n", name)
	return nil
}
