package apiserver_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/app"
)

// A proof arrives in time, the node does not judge it, and the farmer sends it again
// after the contract's due time. The proof stays in time.
func TestProofThatArrivedInTimeStaysInTime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		arrives time.Duration // before the due time
		full    bool          // the queue has no room
		batch   bool
		status  int
		text    string
	}{
		{name: "no worker", arrives: time.Second, status: http.StatusOK, text: "ok"},
		{name: "no worker, a batch", arrives: time.Second, batch: true, status: http.StatusOK, text: "ok"},
		{name: "queue full", arrives: time.Second, full: true, status: http.StatusOK, text: "ok"},
		{name: "queue full, a batch", arrives: time.Second, full: true, batch: true, status: http.StatusOK, text: "ok"},
		// The farmer must repeat such a proof before the due time.
		{name: "long before the due time", arrives: 150 * time.Second, status: http.StatusBadRequest, text: "contract expired"},
		{name: "too late", arrives: 0, status: http.StatusBadRequest, text: "contract expired"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onEach(t, func(p *plan) {
				p.idle = true
				p.cfg.API.AnswerTimeout = 200 * time.Millisecond
				p.cfg.Redis.Queue.MaxQueue = 1
			}, func(t *testing.T, h *harness) {
				f := h.newFarmer(t, 1)
				c := f.takeOne(t, "seed")
				proof := f.prove(t, c, nil)
				h.Clock.Advance(interval - tt.arrives)
				if tt.full {
					h.fillQueue(t)
				}
				if tt.batch {
					f.ask(t, "POST", f.at("answer"), proofs{[]proofOf{{c.FileHash, proof}}}).wantUnavailable(t)
				} else {
					f.submit(t, c, proof).wantUnavailable(t)
				}
				h.Clock.Advance(tt.arrives + 3*time.Second)
				h.StartWorker(t)
				patient := &farmer{h.open(t, func(c *app.Config) { c.API.AnswerTimeout = 20 * time.Second }), h, f.token, f.ip}
				var got response
				waitFor(t, "a verdict", func() bool {
					got = patient.submit(t, c, proof)
					return got.status != http.StatusServiceUnavailable // the queue may still be full
				})
				got.want(t, tt.status, tt.text)
				if n := f.heartbeats(t); n != map[int]int64{http.StatusOK: 1}[tt.status] {
					t.Errorf("%d heartbeats", n)
				}
			})
		})
	}
}
