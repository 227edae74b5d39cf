package desired

import (
	"strings"
	"testing"
)

func TestRotationOf(t *testing.T) {
	t.Parallel()
	for rotation := range int32(12) {
		file := strings.TrimPrefix(keyFile(rotation), "heartbeat/")
		if got, err := RotationOf(file); got != rotation || err != nil {
			t.Errorf("%s: %d, %v, want %d", file, got, err, rotation)
		}
	}
	for _, file := range []string{"", "heartbeat", "heartbeat-1.json", "heartbeat-02.json", "other.json", "heartbeat-2.json.bak"} {
		if got, err := RotationOf(file); err == nil {
			t.Errorf("%s: %d, want an error", file, got)
		}
	}
}

// TestBackupTemplates gives the pod of a backup templates that would break it.
func TestBackupTemplates(t *testing.T) {
	t.Parallel()
	for template, says := range map[string]string{
		"{spec: {initContainers: [{name: dump, image: example.org/other}]}}":                                                               "the operator sets the init container dump itself",
		"{spec: {volumes: [{name: backups, emptyDir: {}}]}}":                                                                               "the operator sets the volume backups itself",
		"{spec: {containers: [{name: job, volumeMounts: [{name: x, mountPath: /backups/x}]}]}}":                                            "the mountPath /backups/x is in /backups",
		"{spec: {initContainers: [{name: proxy, image: example.org/proxy, restartPolicy: Always}], volumes: [{name: own, emptyDir: {}}]}}": "",
	} {
		n := node(t, strings.Replace(backups, "{spec: {priorityClassName: low, containers: [{name: job, env: [{name: TZ, value: UTC}]}]}}", template, 1))
		err := n.CheckPodTemplates()
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v, want %q", template, err, says)
		}
	}
}

// TestBackupConfigFollowsTheSpec checks that a changed spec makes another ConfigMap, because
// ConfigMaps are immutable and a backup contains the spec.
func TestBackupConfigFollowsTheSpec(t *testing.T) {
	t.Parallel()
	n, changed := node(t, backups), node(t, strings.Replace(backups, "keep: 14", "keep: 15", 1))
	if n.ConfigName(Backup) == changed.ConfigName(Backup) {
		t.Error("the ConfigMap of the backup keeps its name")
	}
	if n.ConfigName(Migration) != changed.ConfigName(Migration) || n.MigrationName() != changed.MigrationName() {
		t.Error("a change of spec.backup changes the migration")
	}
}
