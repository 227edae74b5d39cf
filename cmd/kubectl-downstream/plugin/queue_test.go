package plugin

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/controllers/desired"
)

// executed is what a test's kubelet does with a command.
type executed struct{ stdout, stderr, status string }

// serveExec makes the cluster run commands as the API server does, by the protocol v5 over
// WebSocket. It returns the queries of the requests.
func (c *cluster) serveExec(t *testing.T, result executed) <-chan url.Values {
	t.Helper()
	asked := make(chan url.Values, 1)
	up := websocket.Upgrader{Subprotocols: []string{"v5.channel.k8s.io"}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/namespaces/storage/pods/farm-workers-2/exec" {
			http.Error(w, r.URL.Path, http.StatusNotFound)
			return
		}
		asked <- r.URL.Query()
		socket, err := up.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer socket.Close()
		for channel, text := range []string{1: result.stdout, 2: result.stderr, 3: result.status} {
			if channel == 0 {
				continue
			}
			if err := socket.WriteMessage(websocket.BinaryMessage, append([]byte{byte(channel)}, text...)); err != nil {
				t.Error(err)
			}
		}
		_ = socket.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")) // the client may have closed it
	}))
	t.Cleanup(server.Close)
	c.run = runner(&rest.Config{Host: server.URL})
	return asked
}

func farmWorker(name string, ready corev1.ConditionStatus) *corev1.Pod {
	pod := workerPod(name, ready)
	of := desired.Node{DownstreamNode: readyNode()}
	pod.Labels = of.Selector(desired.Workers)
	return pod
}

func TestRunInWorker(t *testing.T) {
	t.Parallel()
	const succeeded = `{"metadata":{},"status":"Success"}`
	const failed = `{"metadata":{},"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"1"}]}}`
	ready := []client.Object{readyNode(), farmWorker("farm-workers-1", corev1.ConditionFalse), farmWorker("farm-workers-2", corev1.ConditionTrue)}
	for name, tt := range map[string]struct {
		objects []client.Object
		result  executed
		prints  string
		warns   string
		fails   string
	}{
		"success":         {ready, executed{"ID  TIME\n", "", succeeded}, "ID  TIME\n", "", ""},
		"a warning":       {ready, executed{"put back 1 jobs\n", "slow Redis\n", succeeded}, "put back 1 jobs\n", "slow Redis\n", ""},
		"failure":         {ready, executed{"", "downstream-node: no dead letter 1-1\n", failed}, "", "", "in the pod farm-workers-2: no dead letter 1-1"},
		"silent failure":  {ready, executed{"", "", failed}, "", "", "in the pod farm-workers-2: command terminated with exit code 1"},
		"no ready worker": {ready[:2], executed{}, "", "", "no worker of farm is ready, and the command runs in a worker; see `kubectl downstream status farm`"},
		"no node":         {nil, executed{}, "", "", "not found"},
	} {
		c := newTestCluster(t, nil, tt.objects...)
		asked := c.serveExec(t, tt.result)
		var out, errs strings.Builder
		err := c.runInWorker(t.Context(), &out, &errs, "farm", []string{"queue", "dead", "list"})
		if out.String() != tt.prints || errs.String() != tt.warns {
			t.Errorf("%s: printed %q and %q", name, &out, &errs)
		}
		if (err == nil) != (tt.fails == "") || err != nil && !strings.Contains(err.Error(), tt.fails) {
			t.Errorf("%s: %v", name, err)
		}
		if len(tt.objects) < 3 {
			continue
		}
		query := <-asked
		if got := strings.Join(query["command"], " "); got != "/downstream-node queue dead list --config /etc/downstream/config.yaml" || query.Get("container") != "workers" {
			t.Errorf("%s: runs %q in %s", name, got, query.Get("container"))
		}
	}
}

func TestDeadLettersAreNamed(t *testing.T) {
	t.Parallel()
	for args, says := range map[string]string{
		"retry farm":          "name the ids that `queue dead list` prints, or use --all",
		"drop farm 1-1 --all": "name the ids that `queue dead list` prints, or use --all",
		"show farm":           "name the ids that `queue dead list` prints",
	} {
		cmd := New()
		cmd.SetArgs(append([]string{"queue", "dead"}, strings.Fields(args)...))
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", args, err)
		}
	}
}
