package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/controllers/desired"
)

// logPod returns a pod of readyNode with containers that run.
func logPod(role desired.Role, name string, containers ...string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: "storage", Labels: (&desired.Node{DownstreamNode: readyNode()}).Selector(role),
	}}
	for _, container := range containers {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: container, ContainerID: "test://" + name + "/" + container,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
		})
	}
	return pod
}

// logTexts are the logs of logPods.
var logTexts = map[string]string{
	"/api/v1/namespaces/storage/pods/farm-api-1/log api":         "2026-01-02T03:04:01.5Z first\n2026-01-02T03:04:04Z fourth\n",
	"/api/v1/namespaces/storage/pods/farm-api-1/log proxy":       "2026-01-02T03:04:02+00:00 second",
	"/api/v1/namespaces/storage/pods/farm-workers-1/log workers": "2026-01-02T03:04:03.000000001Z third\nno time\n2026-01-02T03:04:05Z \n",
}

func logPods() []client.Object {
	starting := logPod(desired.Workers, "farm-workers-2", "workers")
	starting.Status.ContainerStatuses[0].ContainerID = ""
	other := logPod(desired.API, "other-api-1", "api")
	other.Labels["app.kubernetes.io/instance"] = "other"
	return []client.Object{readyNode(), logPod(desired.API, "farm-api-1", "api", "proxy"), logPod(desired.Workers, "farm-workers-1", "workers"), starting, other}
}

func TestLogsAreMergedByTime(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		opt  logOptions
		want string
	}{
		"all":            {logOptions{}, "farm-api-1 first\nfarm-api-1/proxy second\nfarm-workers-1 third\nfarm-workers-1 no time\nfarm-api-1 fourth\nfarm-workers-1 \n"},
		"one role":       {logOptions{role: desired.API}, "farm-api-1 first\nfarm-api-1/proxy second\nfarm-api-1 fourth\n"},
		"with times":     {logOptions{role: desired.API, timestamps: true}, "2026-01-02T03:04:01.5Z farm-api-1 first\n2026-01-02T03:04:02Z farm-api-1/proxy second\n2026-01-02T03:04:04Z farm-api-1 fourth\n"},
		"role with none": {logOptions{role: desired.Redis}, ""},
	} {
		c := newTestCluster(t, logTexts, logPods()...)
		var out, errs strings.Builder
		if err := c.printLogs(t.Context(), &out, &errs, "farm", tt.opt); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if out.String() != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, &out, tt.want)
		}
		if (errs.Len() > 0) != (tt.want == "") {
			t.Errorf("%s: warns %q", name, &errs)
		}
	}
}

// TestLogThatCannotBeRead checks that the other logs are printed, and that the command fails.
func TestLogThatCannotBeRead(t *testing.T) {
	t.Parallel()
	c := newTestCluster(t, logTexts, append(logPods(), logPod(desired.API, "farm-api-2", "api"))...)
	var out strings.Builder
	err := c.printLogs(t.Context(), &out, io.Discard, "farm", logOptions{role: desired.API})
	if err == nil || !strings.Contains(err.Error(), "read the log of api in the pod farm-api-2") {
		t.Errorf("the error is %v", err)
	}
	if !strings.Contains(out.String(), "fourth") {
		t.Errorf("printed %q", &out)
	}
	broken := newLogReader(logSource{pod: "p", container: "c", label: "p"}, io.NopCloser(io.MultiReader(strings.NewReader("2026-01-02T03:04:01Z a\n"), failingReader{})))
	var printed []string
	err = mergeLogs([]*logReader{broken}, func(l logLine) error { printed = append(printed, l.text); return nil })
	if err == nil || !strings.Contains(err.Error(), "read the log of c in the pod p: cut off") || len(printed) != 1 {
		t.Errorf("printed %v, %v", printed, err)
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("cut off") }

func TestLogRequest(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		opt  logOptions
		want string
	}{
		"all":                {logOptions{tail: -1}, "<nil> <nil>"},
		"limited":            {logOptions{tail: 0, since: 90 * time.Second}, "90 0"},
		"less than a second": {logOptions{tail: 5, since: time.Millisecond}, "1 5"},
	} {
		r := tt.opt.request()
		show := func(n *int64) string {
			if n == nil {
				return "<nil>"
			}
			return fmt.Sprint(*n)
		}
		if got := show(r.SinceSeconds) + " " + show(r.TailLines); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// TestLogSources checks the runs of containers whose logs exist.
func TestLogSources(t *testing.T) {
	t.Parallel()
	pod := logPod(desired.API, "farm-api-1", "api", "proxy", "new")
	s := pod.Status.ContainerStatuses
	s[0].RestartCount = 2
	s[1].ContainerID, s[1].RestartCount = "", 1
	s[1].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ContainerID: "test://before"}
	s[2].ContainerID = ""
	pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "init", ContainerID: "test://init"}}
	var got []string
	for _, source := range logSources(pod, true) {
		got = append(got, fmt.Sprint(source.label, " ", source.id, " ", source.previous))
	}
	want := "farm-api-1/init test://init false, farm-api-1 test://farm-api-1/api false, farm-api-1 test://farm-api-1/api true, farm-api-1/proxy test://before false, farm-api-1/proxy test://before true"
	if text := strings.Join(got, ", "); text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

// TestFollowedLinesAreOrdered runs on a fake clock. A line that arrives late, but within the
// delay, comes before a line that is newer.
func TestFollowedLinesAreOrdered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lines, printed := make(chan logLine), []string{}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- printFollowed(ctx, lines, func(l logLine) error { printed = append(printed, l.text); return nil })
		}()
		lines <- logLine{at: seenAt.Add(2 * time.Second), text: "2"}
		time.Sleep(followDelay / 2)
		lines <- logLine{at: seenAt.Add(time.Second), text: "1"}
		lines <- logLine{at: seenAt.Add(4 * time.Second), text: "4"}
		time.Sleep(followDelay)
		synctest.Wait()
		if got := strings.Join(printed, " "); got != "1 2" {
			t.Errorf("printed %s", got)
		}
		lines <- logLine{at: seenAt.Add(5 * time.Second), text: "5"}
		lines <- logLine{at: seenAt.Add(3 * time.Second), text: "late"}
		time.Sleep(2 * followDelay)
		lines <- logLine{at: seenAt.Add(6 * time.Second), text: "6"}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := strings.Join(printed, " "); got != "1 2 late 4 5 6" {
			t.Errorf("printed %s", got)
		}
	})
}

// TestManyFollowedLinesAreNotHeld sends more lines at once than printFollowed holds.
func TestManyFollowedLinesAreNotHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lines, printed := make(chan logLine), 0
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- printFollowed(ctx, lines, func(logLine) error { printed++; return nil })
		}()
		for i := range maxHeld + 1 {
			lines <- logLine{at: seenAt.Add(time.Duration(i)), text: "x"}
		}
		synctest.Wait()
		if printed != maxHeld {
			t.Errorf("printed %d lines before the delay", printed)
		}
		cancel()
		if err := <-done; err != nil || printed != maxHeld+1 {
			t.Errorf("printed %d lines, %v", printed, err)
		}
	})
}

// safeBuilder is a strings.Builder for several goroutines.
type safeBuilder struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *safeBuilder) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuilder) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// TestFollowSurvivesBrokenLogs follows a log that breaks off, and a pod that starts later.
// Each line is printed once.
func TestFollowSurvivesBrokenLogs(t *testing.T) {
	t.Parallel()
	c := newTestCluster(t, nil, readyNode(), logPod(desired.API, "farm-api-1", "api"))
	var mu sync.Mutex
	opened := map[string]int{}
	var second string // the query of the second request of farm-api-1
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pod := strings.Split(r.URL.Path, "/")[6]
		mu.Lock()
		opened[pod]++
		n := opened[pod]
		if pod == "farm-api-1" && n == 2 {
			second = r.URL.RawQuery
		}
		mu.Unlock()
		switch {
		case pod == "farm-api-1" && n == 1: // it ends although the container runs
			fmt.Fprint(w, "2026-01-02T03:04:01.1Z one\n2026-01-02T03:04:01.2Z two\n")
			return
		case pod == "farm-api-1": // whole seconds: two lines come again
			fmt.Fprint(w, "2026-01-02T03:04:01.1Z one\n2026-01-02T03:04:01.2Z two\n2026-01-02T03:04:01.3Z three\n")
		default:
			fmt.Fprint(w, "2026-01-02T03:04:09Z later\n")
		}
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	core, err := corev1client.NewForConfigAndClient(&rest.Config{Host: server.URL}, server.Client())
	if err != nil {
		t.Fatal(err)
	}
	c.core = core
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, errs, done := &safeBuilder{}, &safeBuilder{}, make(chan error, 1)
	go func() { done <- c.followLogs(ctx, out, errs, "farm", logOptions{follow: true, tail: 7}) }()
	wait := func(text string) {
		t.Helper()
		for range 300 {
			if strings.Contains(out.String(), text) {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Fatalf("no %q in %q; warnings %q", text, out, errs)
	}
	wait("two")
	if err := c.Create(ctx, logPod(desired.API, "farm-api-2", "api")); err != nil {
		t.Fatal(err)
	}
	wait("later")
	wait("three")
	cancel()
	if err := <-done; err != nil {
		t.Errorf("the end: %v", err)
	}
	if got, want := out.String(), "farm-api-1 one\nfarm-api-1 two\nfarm-api-1 three\nfarm-api-2 later\n"; got != want || errs.String() != "" {
		t.Errorf("printed %q, want %q; warnings %q", got, want, errs)
	}
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(second, "sinceTime=2026-01-02T03%3A04%3A01Z") || strings.Contains(second, "tailLines") {
		t.Errorf("the second request is %s", second)
	}
}
