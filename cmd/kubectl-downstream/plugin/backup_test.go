package plugin

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/driveshare/downstream-node/api/v1"
)

// startPods makes the pods that are created run, or end with a status. It returns a copy of
// each pod that was created.
func startPods(c *cluster, exit *int32) *[]corev1.Pod {
	created := &[]corev1.Pod{}
	c.Client = interceptor.NewClient(c.Client.(client.WithWatch), interceptor.Funcs{
		Create: func(ctx context.Context, inner client.WithWatch, object client.Object, options ...client.CreateOption) error {
			if pod, ok := object.(*corev1.Pod); ok {
				pod.Name = pod.GenerateName + "1"
				pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
				if exit != nil {
					pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "api", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: *exit}}}}
				}
				*created = append(*created, *pod.DeepCopy())
			}
			return inner.Create(ctx, object, options...)
		},
	})
	return created
}

// backupCronJob is what the operator makes, as far as the plugin needs it.
func backupCronJob() *batchv1.CronJob {
	cronJob := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Name: "farm-backup", Namespace: "storage"}}
	cronJob.Spec.JobTemplate.Spec.Template = corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app.kubernetes.io/component": "backup"}},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: "dump"}},
			Containers: []corev1.Container{{
				Name: "backup", Command: []string{"/downstream-node"},
				VolumeMounts: []corev1.VolumeMount{{Name: "downstream", MountPath: "/etc/downstream"}, {Name: "backups", MountPath: "/backups"}},
			}},
			Volumes: []corev1.Volume{{Name: "downstream"}, {Name: "dump"}, {Name: "backups"}},
		},
	}
	return cronJob
}

func TestBackupsAreListedAndFetched(t *testing.T) {
	t.Parallel()
	node := readyNode()
	node.Spec.Backup = &v1.BackupSpec{}
	c := newTestCluster(t, nil, node, backupCronJob())
	pods := startPods(c, nil)
	const older, newest = "storage.farm-20260101T000000Z.tar.gz.age", "storage.farm-20260102T000000Z.tar.gz.age"
	listed := older + " 5\n" + newest + " 6\nstorage.other-20260103T000000Z.tar.gz.age 7\n"
	c.run = func(_ context.Context, at target, command []string, _ io.Reader, out, _ io.Writer) error {
		if at != (target{"storage", "farm-backups-1", "backup"}) || !slices.Equal(command[:4], []string{"/downstream-node", "backup", "read", "/backups"}) {
			return fmt.Errorf("%v runs in %v", command, at)
		}
		text := listed
		if len(command) > 4 {
			text = "content of " + command[4]
		}
		_, err := io.WriteString(out, text)
		return err
	}
	dir := filepath.Join(t.TempDir(), "new")
	fetch := func(file string) (said string, err error) {
		var out strings.Builder
		err = c.onBackups(t.Context(), "farm", func(v backupVolume) error { return v.fetch(t.Context(), &out, file, dir) })
		return out.String(), err
	}
	for file, want := range map[string]string{"": newest, older: older} {
		said, err := fetch(file)
		content, _ := os.ReadFile(filepath.Join(dir, want))
		if err != nil || said != filepath.Join(dir, want)+"\n" || string(content) != "content of "+want {
			t.Errorf("%q: %v, prints %q, the file has %q", file, err, said, content)
		}
	}
	if _, err := fetch(""); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("a file that exists: %v", err)
	}
	spec := (*pods)[0].Spec
	if len(spec.InitContainers) > 0 || len(spec.Volumes) != 1 || len(spec.Containers[0].VolumeMounts) != 1 || !spec.Containers[0].VolumeMounts[0].ReadOnly {
		t.Errorf("the pod has more than the volume with the backups, read-only: %+v", spec)
	}
	left := &corev1.PodList{}
	if err := c.List(t.Context(), left); err != nil || len(left.Items) > 0 {
		t.Errorf("%d pods are left, %v", len(left.Items), err)
	}
	listed = ""
	if _, err := fetch(""); err == nil || !strings.Contains(err.Error(), "has no backup of farm yet") {
		t.Errorf("an empty volume: %v", err)
	}
	if err := newTestCluster(t, nil, readyNode()).onBackups(t.Context(), "farm", nil); err == nil || !strings.Contains(err.Error(), "farm has no spec.backup") {
		t.Errorf("a node without backups: %v", err)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "farm-api", Namespace: "storage"}}
	deployment.Spec.Template.Spec.Containers = []corev1.Container{
		{Name: "api", Command: []string{"/downstream-node"}, Args: []string{"api", "--config", "/etc/downstream/config.yaml"}, ReadinessProbe: &corev1.Probe{}},
		{Name: "proxy"},
	}
	logs := map[string]string{"/api/v1/namespaces/storage/pods/farm-verify-1/log api": "tables  version 14\n"}
	for exit, want := range map[int32]string{0: "tables  version 14\nfarm, its database and its heartbeat keys fit together\n", 1: "tables  version 14\n"} {
		c := newTestCluster(t, logs, readyNode(), deployment)
		pods := startPods(c, &exit)
		var out strings.Builder
		err := c.verify(t.Context(), &out, "farm", time.Second)
		if out.String() != want || (err == nil) != (exit == 0) {
			t.Errorf("exit %d: %v, prints %q, want %q", exit, err, &out, want)
		}
		pod := (*pods)[0]
		if main := pod.Spec.Containers[0]; !slices.Equal(main.Args, []string{"db", "verify", "--config", "/etc/downstream/config.yaml"}) || main.ReadinessProbe != nil || pod.Spec.RestartPolicy != corev1.RestartPolicyNever {
			t.Errorf("the pod is %+v", pod.Spec)
		}
		if pod.Labels["app.kubernetes.io/component"] == "api" {
			t.Error("the Service of the API selects the pod")
		}
	}
	if err := newTestCluster(t, nil, readyNode()).verify(t.Context(), io.Discard, "farm", 0); err == nil || !strings.Contains(err.Error(), "after it has migrated the database") {
		t.Errorf("no API: %v", err)
	}
}

func TestLastBackup(t *testing.T) {
	t.Parallel()
	at := func(age time.Duration) *metav1.Time { return &metav1.Time{Time: seenAt.Add(-age)} }
	for want, status := range map[string]*v1.BackupStatus{
		"none yet":                        nil,
		"2026-01-02T01:04:05Z, 120m ago":  {LastSuccess: at(2 * time.Hour)},
		"none; a later one failed: full":  {LastFailure: at(time.Hour), Message: "full"},
		"; a later one failed: disk full": {LastSuccess: at(2 * time.Hour), LastFailure: at(time.Hour), Message: "disk full"},
	} {
		node := readyNode()
		node.Spec.Backup, node.Status.Backup = &v1.BackupSpec{}, status
		var out strings.Builder
		_ = newTestCluster(t, nil, node).printStatus(t.Context(), &out, "farm", seenAt)
		if !strings.Contains(out.String(), want) {
			t.Errorf("want %q in\n%s", want, &out)
		}
	}
}
