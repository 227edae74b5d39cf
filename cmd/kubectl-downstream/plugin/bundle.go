package plugin

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/driveshare/downstream-node/internal/program"
)

// bundle is a zip file with one folder.
type bundle struct {
	*zip.Writer
	folder string
	now    time.Time
}

func (b *bundle) add(name, text string) error {
	w, err := b.CreateHeader(&zip.FileHeader{Name: path.Join(b.folder, name), Method: zip.Deflate, Modified: b.now})
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, text)
	return err
}

// write writes the bundle. What cannot be read is a problem, not an error.
func (r *report) write(ctx context.Context, w io.Writer, folder string, opt logOptions) error {
	b := &bundle{zip.NewWriter(w), filepath.Base(folder), r.now}
	for _, step := range []func(context.Context, *bundle) error{
		r.addStatus, r.addObjects, r.addSecretNames, r.addEvents,
		func(ctx context.Context, b *bundle) error { return r.addLogs(ctx, b, opt) },
		r.addVersions,
	} {
		if err := step(ctx, b); err != nil {
			return err
		}
	}
	if len(r.problems) > 0 {
		if err := b.add("problems.txt", r.redact.log(strings.Join(r.problems, "\n")+"\n")); err != nil {
			return err
		}
	}
	return b.Close()
}

func (r *report) addStatus(ctx context.Context, b *bundle) error {
	var text strings.Builder
	if err := r.printStatus(ctx, &text, r.node.Name, r.now); err != nil && !errors.Is(err, errNotReady) {
		r.problem("the status cannot be shown: %v", err)
	}
	return b.add("status.txt", r.redact.log(text.String()))
}

func (r *report) addObjects(_ context.Context, b *bundle) error {
	for _, object := range r.objects {
		text, err := yaml.Marshal(r.redact.scrub(object.DeepCopy().Object))
		if err != nil {
			return fmt.Errorf("write the %s %s: %w", object.GetKind(), object.GetName(), err)
		}
		name := path.Join("objects", strings.ToLower(object.GetKind()), object.GetName()+".yaml")
		if err := b.add(name, remove(string(text), r.redact.values(string(text)))); err != nil {
			return err
		}
	}
	return nil
}

// addSecretNames adds the names of the Secrets and of their keys.
func (r *report) addSecretNames(_ context.Context, b *bundle) error {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.secrets)) {
		fmt.Fprintf(&text, "%s: %s\n", name, strings.Join(r.secrets[name], ", "))
	}
	return b.add("secrets.txt", text.String())
}

// addEvents adds the events of the objects, and of pods that do not exist any more.
func (r *report) addEvents(ctx context.Context, b *bundle) error {
	var events corev1.EventList
	if err := r.List(ctx, &events, client.InNamespace(r.namespace)); err != nil {
		r.problem("the events cannot be listed: %v", err)
		return nil
	}
	uids := map[types.UID]bool{}
	var owners []string
	for _, object := range r.objects {
		uids[object.GetUID()] = true
		switch object.GetKind() {
		case "ReplicaSet", "StatefulSet", "Job": // the owners of pods
			owners = append(owners, object.GetName()+"-")
		}
	}
	table := &strings.Builder{}
	out := tabwriter.NewWriter(table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "LAST\tCOUNT\tTYPE\tREASON\tOBJECT\tMESSAGE")
	slices.SortStableFunc(events.Items, func(a, b corev1.Event) int { return lastSeen(&a).Compare(lastSeen(&b)) })
	for _, e := range events.Items {
		about := e.InvolvedObject
		deleted := about.Kind == "Pod" && slices.ContainsFunc(owners, func(prefix string) bool { return strings.HasPrefix(about.Name, prefix) })
		if uids[about.UID] || deleted {
			fmt.Fprintf(out, "%s\t%d\t%s\t%s\t%s/%s\t%s\n", lastSeen(&e).UTC().Format(time.RFC3339), max(e.Count, 1), e.Type, e.Reason,
				strings.ToLower(about.Kind), about.Name, strings.ReplaceAll(e.Message, "\n", " "))
		}
	}
	return errors.Join(out.Flush(), b.add("events.txt", r.redact.log(table.String())))
}

// lastSeen returns the latest of an event's times. Each sender sets another one.
func lastSeen(e *corev1.Event) time.Time {
	times := []time.Time{e.CreationTimestamp.Time, e.LastTimestamp.Time, e.EventTime.Time}
	if e.Series != nil {
		times = append(times, e.Series.LastObservedTime.Time)
	}
	return slices.MaxFunc(times, time.Time.Compare)
}

// pods returns the pods among the objects.
func (r *report) pods() (pods []corev1.Pod) {
	for _, object := range r.objects {
		if object.GetKind() != "Pod" {
			continue
		}
		var pod corev1.Pod
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &pod); err != nil {
			r.problem("the pod %s cannot be understood: %v", object.GetName(), err)
			continue
		}
		pods = append(pods, pod)
	}
	return pods
}

func (r *report) addLogs(ctx context.Context, b *bundle, opt logOptions) error {
	for _, pod := range r.pods() {
		for _, source := range logSources(&pod, true) {
			text, err := r.readLog(ctx, source, opt)
			if err != nil {
				r.problem("%v", err)
				continue
			}
			suffix := ".log"
			if source.previous {
				suffix = ".previous.log"
			}
			if err := b.add(path.Join("logs", source.pod, source.container+suffix), text); err != nil {
				return err
			}
		}
	}
	return nil
}

// addVersions adds the versions of the plugin and of the cluster, the leading operator, and
// the images of the pods.
func (r *report) addVersions(ctx context.Context, b *bundle) error {
	var text strings.Builder
	server, err := r.core.RESTClient().Get().AbsPath("/version").DoRaw(ctx)
	operator, _ := r.anyOperator(ctx, r.now)
	fmt.Fprintf(&text, "%s\nKubernetes: %s\nOperator: %s\n\n", program.Version(pluginName),
		orUnknown(strings.Join(strings.Fields(string(server)), " "), err), operator)
	out := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "POD\tCONTAINER\tIMAGE\tIMAGE ID")
	for _, pod := range r.pods() {
		for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", pod.Name, s.Name, s.Image, s.ImageID)
		}
	}
	return errors.Join(out.Flush(), b.add("versions.txt", r.redact.text(text.String())))
}
