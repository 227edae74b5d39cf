package workers_test

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
	"github.com/driveshare/downstream-node/workers"
)

// lineWaiter closes heard when a line that contains the words is logged.
type lineWaiter struct {
	words string
	once  sync.Once
	heard chan struct{}
}

func (h *lineWaiter) Write(line []byte) (int, error) {
	if strings.Contains(string(line), h.words) {
		h.once.Do(func() { close(h.heard) })
	}
	return io.Discard.Write(line)
}

// A worker must not acknowledge a job before it commits the verdict. Otherwise the
// verdict would be lost if the worker died between the two steps.
func TestJobIsAcknowledgedOnlyAfterItsCommit(t *testing.T) {
	t.Parallel()
	server := testenv.StartMariaDB(t, testenv.Fast)
	h := openHarness(t, testnode.Servers, func(c *app.Config) {
		c.Database.Driver, c.Database.DSN = store.MySQL, config.Secret(server.NewDatabase(t))
	})
	c := h.takeOne(t, "seed")
	refused := &lineWaiter{words: "cannot commit verdicts", heard: make(chan struct{})}
	deps := h.deps()
	deps.Log = slog.New(slog.NewTextHandler(refused, nil))
	testnode.Background(t, func(ctx context.Context) {
		must(t, workers.NewVerifier(deps, "worker", usual(), wrongAnswers).Run(ctx))
	})

	server.SetReadOnly(t, true)
	w := h.submit(t, c)
	<-refused.heard
	if stats := h.stats(t); stats.Pending != 1 {
		t.Errorf("%d jobs are pending although the verdict cannot be committed, want 1", stats.Pending)
	}
	select {
	case reply := <-w.reply:
		t.Errorf("the worker replied %v before the commit", reply.Outcomes)
	default:
	}
	server.SetReadOnly(t, false)
	w.want(t, node.OK)
	h.empty(t)
	if n := h.heartbeats(t); n != 1 {
		t.Errorf("%d heartbeats, want 1", n)
	}
}
