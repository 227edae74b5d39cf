//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
)

// kill sends SIGKILL to the program in a pod. This works only if the test runs on
// the pod's machine, as with hack/e2e. On another machine, kill force-deletes the
// pod, and the program has two seconds to stop.
func kill(pod *corev1.Pod) error {
	groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return err
	}
	ended := 0
	for _, file := range groups {
		text, err := os.ReadFile(file)
		if err != nil || !ofPod(string(text), string(pod.UID)) {
			continue // the process has ended, or belongs to another user
		}
		dir := filepath.Dir(file)
		command, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || !strings.HasPrefix(string(command), "/downstream-node\x00") {
			continue
		}
		id, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			return err
		}
		if err := syscall.Kill(id, syscall.SIGKILL); err != nil {
			return fmt.Errorf("kill process %d of pod %s: %w", id, pod.Name, err)
		}
		ended++
	}
	if ended > 0 {
		return nil
	}
	_, err = run("kubectl", "-n", pod.Namespace, "delete", "pod", pod.Name, "--grace-period=0", "--force")
	return err
}

// ofPod reports whether a control group belongs to a pod. Container runtimes write
// a pod's id in two formats.
func ofPod(group, uid string) bool {
	return strings.Contains(group, "pod"+uid) || strings.Contains(group, "pod"+strings.ReplaceAll(uid, "-", "_"))
}
