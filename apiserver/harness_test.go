package apiserver_test

import (
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var (
	must    = testenv.Must
	waitFor = testenv.WaitFor
)

const interval = testnode.Interval

// harness is a node with one API replica. The methods open and serve start more
// replicas.
type harness struct {
	*testnode.Node
	*replica
}

// replica is an API replica, with helpers that send requests.
type replica struct{ *testnode.Replica }

// plan is the configuration of a test's node.
type plan struct {
	cfg     app.Config
	schemes []heartbeat.Type // the schemes of the heartbeat keys; the first key is the current key
	idle    bool             // no worker runs
}

func defaultPlan(*plan) {}

// onEach runs a test once for each backend, with a new node.
func onEach(t *testing.T, change func(*plan), test func(t *testing.T, h *harness)) {
	t.Helper()
	testenv.OnEach(t, testnode.Backends, func(t *testing.T, backend string) {
		test(t, openHarness(t, backend, change))
	})
}

func openHarness(t testing.TB, backend string, change func(*plan)) *harness {
	t.Helper()
	p := plan{cfg: testnode.Config(), schemes: []heartbeat.Type{heartbeat.Merkle}}
	change(&p)
	h := &harness{Node: testnode.Open(t, backend, p.cfg, keys(t, p.schemes))}
	if !p.idle {
		h.StartWorker(t)
	}
	h.replica = h.open(t, func(*app.Config) {})
	return h
}

// open starts another API replica with its own configuration.
func (h *harness) open(t testing.TB, change func(*app.Config)) *replica {
	t.Helper()
	return &replica{h.Serve(t, change)}
}

func keys(t testing.TB, types []heartbeat.Type) []heartbeat.Heartbeat {
	t.Helper()
	files := map[heartbeat.Type]string{heartbeat.Merkle: "testdata/merkle.json", heartbeat.Swizzle: "testdata/swizzle.json"}
	paths := make([]string, len(types))
	for i, scheme := range types {
		paths[i] = files[scheme]
	}
	heartbeats, err := keyring.Load(paths)
	must(t, err)
	return heartbeats
}
