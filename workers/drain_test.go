package workers_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// At shutdown the worker finishes the jobs that it holds.
func TestDrainFinishesItsJobs(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		c := h.takeOne(t, "seed")
		begun, release := make(chan struct{}), make(chan struct{})
		hold := func([]byte) { close(begun); <-release }
		h.key.verifying.Store(&hold)
		end := h.verify(t, "worker", usual())
		w := h.submit(t, c)
		<-begun
		ended := make(chan struct{})
		go func() { end(); close(ended) }()
		close(release)
		<-ended
		w.want(t, node.OK)
		if stats := h.stats(t); stats.Length != 0 {
			t.Errorf("%d jobs are left", stats.Length)
		}
	})
}

// At shutdown, the worker hands back a job that it cannot finish in time. Another
// worker must read the job immediately, although the job has not been idle for
// ClaimIdle.
func TestDrainGivesJobsBack(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		begun, release := make(chan struct{}, 10), make(chan struct{})
		hold := func([]byte) { begun <- struct{}{}; <-release }
		h.key.verifying.Store(&hold)
		cfg := usual()
		cfg.Concurrency, cfg.DrainTimeout = 1, time.Millisecond
		end := h.verify(t, "first", cfg)
		var jobs []waiting
		for i := range 4 {
			jobs = append(jobs, h.submit(t, h.takeOne(t, fmt.Sprint("seed ", i))))
		}
		<-begun
		waitFor(t, "the worker holds all jobs", func() bool { return h.stats(t).Pending == 4 })
		ended := make(chan struct{})
		go func() { end(); close(ended) }()
		// The worker reads no more jobs, waits a millisecond, and stops verifying.
		// The test gets no signal when this has happened, so it waits for a fixed
		// time. An earlier verdict is correct too.
		time.AfterFunc(2*time.Second, func() { close(release) })
		<-ended
		if n := h.heartbeats(t); n != 0 {
			t.Errorf("%d heartbeats after the drain timeout", n)
		}
		h.key.verifying.Store(nil)
		h.verify(t, "second", usual())
		for _, w := range jobs {
			w.want(t, node.OK)
		}
		if n := h.heartbeats(t); n != 4 {
			t.Errorf("%d heartbeats, want 4", n)
		}
	})
}
