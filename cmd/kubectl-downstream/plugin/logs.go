package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/controllers/desired"
	"github.com/driveshare/downstream-node/internal/program"
)

// podRoles are the roles that have pods.
var podRoles = []desired.Role{desired.API, desired.Workers, desired.Migration, desired.Whitelist, desired.Maintenance, desired.Backup, desired.MySQL, desired.Redis}

// logOptions say which logs to print, and how.
type logOptions struct {
	follow, timestamps bool
	since              time.Duration // 0: from the start
	tail               int64         // the last lines of each container; negative: all
	role               desired.Role  // empty: every role
}

func newLogsCommand(access *clusterAccess) *cobra.Command {
	var opt logOptions
	cmd := &cobra.Command{
		Use:   "logs NAME",
		Short: "Print the logs of all pods of a node, merged by time",
		Long: "Prints the logs of all containers of a node's pods, in the order of their times. Each line\n" +
			"begins with the name of its pod, and of its container if that is one that a pod template\n" +
			"added. --follow also follows pods that start later. You need the rights to list pods and to\n" +
			"get pods/log.",
		Example: "  kubectl downstream logs downstream --follow --since 10m --role workers",
	}
	flags := cmd.Flags()
	flags.BoolVarP(&opt.follow, "follow", "f", false, "print new lines until you interrupt the command")
	flags.DurationVar(&opt.since, "since", 0, "print only lines that are not older than this")
	flags.Int64Var(&opt.tail, "tail", -1, "print the last lines of each container, at most this number; -1 prints all")
	flags.BoolVar(&opt.timestamps, "timestamps", false, "print the time at which the container wrote each line")
	var role string
	flags.StringVar(&role, "role", "", "print only the logs of this role: "+strings.Join(roleNames(), ", "))
	program.CompleteWith(cmd, "role", roleNames()...)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if opt.role = desired.Role(role); role != "" && !slices.Contains(podRoles, opt.role) {
			return fmt.Errorf("--role is %q; write one of %s", role, strings.Join(roleNames(), ", "))
		}
		if opt.since < 0 {
			return errors.New("--since must not be negative")
		}
		return onNode(access, func(ctx context.Context, cmd *cobra.Command, c *cluster, name string) error {
			if opt.follow {
				return c.followLogs(ctx, cmd.OutOrStdout(), cmd.ErrOrStderr(), name, opt)
			}
			return c.printLogs(ctx, cmd.OutOrStdout(), cmd.ErrOrStderr(), name, opt)
		})(cmd, args)
	}
	return cmd
}

func roleNames() []string {
	names := make([]string, len(podRoles))
	for i, role := range podRoles {
		names[i] = string(role)
	}
	return names
}

// nodePods lists the pods of a node; of one role, unless the role is empty.
func (c *cluster) nodePods(ctx context.Context, name string, role desired.Role) ([]corev1.Pod, error) {
	node, err := c.node(ctx, name)
	if err != nil {
		return nil, err
	}
	selector := (&desired.Node{DownstreamNode: node}).Selector(role)
	if role == "" {
		delete(selector, labelComponent)
	}
	var pods corev1.PodList
	err = c.List(ctx, &pods, client.InNamespace(c.namespace), client.MatchingLabels(selector))
	return pods.Items, err
}

// labelComponent is the label with the role of an object.
const labelComponent = "app.kubernetes.io/component"

// logSource is one run of a container. A container that starts again is another source.
type logSource struct {
	pod, container, id string
	previous           bool // the run before the current one
	label              string
	running            bool
}

// logSources lists the containers of a pod that have started. If previous is true, it also
// lists the runs before.
func logSources(pod *corev1.Pod, previous bool) (sources []logSource) {
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		source := logSource{pod: pod.Name, container: s.Name, id: s.ContainerID, label: pod.Name, running: s.State.Running != nil}
		if s.Name != pod.Labels[labelComponent] {
			source.label += "/" + s.Name
		}
		// A container that waits for its next start has the log of its last run.
		if last := s.LastTerminationState.Terminated; source.id == "" && last != nil {
			source.id = last.ContainerID
		}
		if source.id != "" {
			sources = append(sources, source)
		}
		if previous && s.RestartCount > 0 {
			source.previous = true
			sources = append(sources, source)
		}
	}
	return sources
}

// openLog opens the log of a source. Every line begins with its time.
func (c *cluster) openLog(ctx context.Context, source logSource, opt corev1.PodLogOptions) (*logReader, error) {
	opt.Container, opt.Previous, opt.Timestamps = source.container, source.previous, true
	stream, err := c.core.Pods(c.namespace).GetLogs(source.pod, &opt).Stream(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the log of %s in the pod %s: %w", source.container, source.pod, err)
	}
	return newLogReader(source, stream), nil
}

// request returns the options that limit how much of a log is read.
func (o logOptions) request() (request corev1.PodLogOptions) {
	if o.since > 0 {
		request.SinceSeconds = new(max(1, int64(o.since.Seconds())))
	}
	if o.tail >= 0 {
		request.TailLines = &o.tail
	}
	return request
}

// print returns a function that prints lines to w.
func (o logOptions) print(w io.Writer) func(logLine) error {
	return func(line logLine) (err error) {
		if o.timestamps {
			_, err = fmt.Fprintf(w, "%s %s %s\n", line.at.UTC().Format(time.RFC3339Nano), line.label, line.text)
		} else {
			_, err = fmt.Fprintf(w, "%s %s\n", line.label, line.text)
		}
		return err
	}
}

// printLogs prints what the logs of a node have now. A log that cannot be read does not stop
// the others.
func (c *cluster) printLogs(ctx context.Context, out, errs io.Writer, name string, opt logOptions) error {
	pods, err := c.nodePods(ctx, name, opt.role)
	if err != nil {
		return err
	}
	var logs []*logReader
	var failed []error
	defer func() {
		for _, log := range logs {
			log.close()
		}
	}()
	for i := range pods {
		for _, source := range logSources(&pods[i], false) {
			log, err := c.openLog(ctx, source, opt.request())
			if err != nil {
				failed = append(failed, err)
				continue
			}
			logs = append(logs, log)
		}
	}
	if len(logs) == 0 && len(failed) == 0 {
		fmt.Fprintf(errs, "%s has no pod whose containers have started; see `kubectl downstream status %[1]s`\n", name)
	}
	return errors.Join(append(failed, mergeLogs(logs, opt.print(out)))...)
}
