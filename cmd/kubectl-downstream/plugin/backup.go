package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/controllers/desired"
	"github.com/driveshare/downstream-node/internal/backup"
)

func newBackupCommand(access *clusterAccess) *cobra.Command {
	list := &cobra.Command{
		Use:   "list NAME",
		Short: "List the backups of a node, the newest first",
		Args:  oneNode,
		RunE: onNode(access, func(ctx context.Context, cmd *cobra.Command, c *cluster, name string) error {
			return c.onBackups(ctx, name, func(v backupVolume) error {
				for _, file := range v.files {
					fmt.Fprintln(cmd.OutOrStdout(), file)
				}
				return nil
			})
		}),
	}
	var file, to string
	fetch := &cobra.Command{
		Use:   "fetch NAME [--file FILE] [--to DIR]",
		Short: "Copy a backup of a node from its volume, by default the newest one",
		Args:  oneNode,
		RunE: onNode(access, func(ctx context.Context, cmd *cobra.Command, c *cluster, name string) error {
			return c.onBackups(ctx, name, func(v backupVolume) error { return v.fetch(ctx, cmd.OutOrStdout(), file, to) })
		}),
	}
	fetch.Flags().StringVar(&file, "file", "", "name of the backup, as the command list prints it (default: the newest one)")
	fetch.Flags().StringVar(&to, "to", ".", "directory for the copy")
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "List or fetch the backups of a node",
		Long: "Lists or copies the backups that spec.backup wrote to a volume. The backups are encrypted.\n" +
			"The commands make a pod that mounts the volume, and delete it at the end. You need the\n" +
			"rights to get CronJobs, to create and delete pods, and to create pods/exec.\n\n" +
			"`kubectl create job --from=cronjob/NAME-backup JOB` makes a backup now.",
	}
	for _, c := range []*cobra.Command{list, fetch} {
		c.ValidArgsFunction = completeNode(access)
		cmd.AddCommand(c)
	}
	return cmd
}

// backupVolume is the volume with the backups of a node, in a pod that mounts it.
type backupVolume struct {
	run   func(ctx context.Context, out io.Writer, args ...string) error
	files []string // the backups of the node, the newest first
}

// backupPodWait limits the wait for the pod, and backupPodLife its life if nobody deletes it.
const (
	backupPodWait = 2 * time.Minute
	backupPodLife = time.Hour
)

// onBackups mounts the volume with the backups of a node, and calls do.
func (c *cluster) onBackups(ctx context.Context, name string, do func(backupVolume) error) error {
	node, err := c.node(ctx, name)
	if err != nil {
		return err
	}
	if node.Spec.Backup == nil {
		return fmt.Errorf("%s has no spec.backup, so the operator makes no backups of it", name)
	}
	of := desired.Node{DownstreamNode: node}
	cronJob := &batchv1.CronJob{}
	if err := c.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: of.ObjectName(desired.Backup)}, cronJob); err != nil {
		return fmt.Errorf("%w; `kubectl downstream status %s` says why the operator has not made it", err, name)
	}
	pod := readerPod(name, cronJob)
	if err := c.Create(ctx, pod, client.FieldOwner(pluginName)); err != nil {
		return fmt.Errorf("make a pod that mounts the backups: %w", err)
	}
	defer c.Delete(context.WithoutCancel(ctx), pod, client.GracePeriodSeconds(1)) //nolint:errcheck // it ends without help
	err = waitFor(ctx, backupPodWait, func(ctx context.Context) error {
		err := c.Get(ctx, client.ObjectKeyFromObject(pod), pod)
		if err == nil && !podReady(pod) {
			err = errors.New("it does not run yet")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("the pod %s did not start within %v (%w); see `kubectl describe pod %[1]s`", pod.Name, backupPodWait, err)
	}
	main := &pod.Spec.Containers[0]
	v := backupVolume{run: func(ctx context.Context, out io.Writer, args ...string) error {
		command := append([]string{main.Command[0], "backup", "read", main.VolumeMounts[0].MountPath}, args...)
		return c.run(ctx, target{c.namespace, pod.Name, main.Name}, command, nil, out, nil)
	}}
	var lines bytes.Buffer
	if err := v.run(ctx, &lines); err != nil {
		return err
	}
	if v.files = backup.Select(strings.Fields(lines.String()), of.RedisName()); len(v.files) == 0 {
		return fmt.Errorf("the volume has no backup of %s yet; `kubectl create job --from=cronjob/%s NAME` makes one now", name, cronJob.Name)
	}
	return do(v)
}

// readerPod returns a pod that mounts the volume with the backups, and nothing else.
func readerPod(name string, cronJob *batchv1.CronJob) *corev1.Pod {
	template := cronJob.Spec.JobTemplate.Spec.Template.DeepCopy()
	spec := &template.Spec
	main := &spec.Containers[0]
	for _, m := range main.VolumeMounts {
		if m.Name == desired.BackupsVolume {
			m.ReadOnly = true
			main.VolumeMounts = []corev1.VolumeMount{m}
			break
		}
	}
	for _, v := range spec.Volumes {
		if v.Name == desired.BackupsVolume {
			spec.Volumes = []corev1.Volume{v}
			break
		}
	}
	main.Args = []string{"backup", "read", main.VolumeMounts[0].MountPath, "--hold", backupPodLife.String()}
	main.Env, main.EnvFrom = nil, nil
	spec.InitContainers = nil
	spec.RestartPolicy = corev1.RestartPolicyNever
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: name + "-backups-", Namespace: cronJob.Namespace, Labels: template.Labels},
		Spec:       *spec,
	}
}

// fetch copies a backup into a directory, which it makes if there is none. It never replaces a file.
func (v backupVolume) fetch(ctx context.Context, out io.Writer, name, dir string) error {
	if name == "" {
		name = v.files[0]
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, filepath.Base(name))
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = v.run(ctx, file, filepath.Base(name))
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	fmt.Fprintln(out, path)
	return nil
}
