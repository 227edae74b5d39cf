package workers

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/driveshare/downstream-node/internal/store"
)

func newCollector() *Verifier {
	return &Verifier{
		cfg:             Config{CommitBatch: 10 * smallBatch, CommitDelay: 5 * quietPeriod},
		inflight:        newInflight(1, 1000, 1000, 1),
		verified:        make(chan verifiedJob, 1000),
		smallCommitSlot: make(chan struct{}, 1),
	}
}

// verifyJobsOfOne adds n verified jobs. Each job has one verdict.
func (v *Verifier) verifyJobsOfOne(n int) {
	for range n {
		v.verified <- verifiedJob{verdicts: make([]store.Verdict, 1)}
	}
}

func TestSmallBatchWaitsForThePreviousSmallBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newCollector()
		v.verifyJobsOfOne(1)
		first, release := v.nextBatch()
		if first.verdicts != 1 {
			t.Fatalf("%d verdicts, want 1", first.verdicts)
		}
		v.verifyJobsOfOne(3)
		time.AfterFunc(2*time.Millisecond, func() { v.verifyJobsOfOne(4) })
		time.AfterFunc(5*time.Millisecond, release)
		start := time.Now()
		second, release := v.nextBatch()
		if waited := time.Since(start); second.verdicts != 7 || waited != 5*time.Millisecond+quietPeriod {
			t.Errorf("%d verdicts after %v, want 7, one quiet period after the first batch is committed", second.verdicts, waited)
		}
		v.verifyJobsOfOne(1)
		start = time.Now()
		if third, _ := v.nextBatch(); third.verdicts != 1 || time.Since(start) != smallCommitWait {
			t.Errorf("%d verdicts after %v, want 1 after %v", third.verdicts, time.Since(start), smallCommitWait)
		}
		release()
	})
}

func TestSmallBatchWaitsForAQuietPeriod(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		every   time.Duration // time between jobs, after the first two jobs
		waiting time.Duration
		want    int
	}{
		{"no other jobs", time.Hour, quietPeriod, 2},
		{"jobs at long intervals", 2 * quietPeriod, quietPeriod, 2},
		{"jobs at short intervals", quietPeriod / 2, 5 * quietPeriod, 2 + 10 - 1},
		{"many jobs", quietPeriod / 20, quietPeriod / 20 * (smallBatch - 2), smallBatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				v := newCollector()
				v.verifyJobsOfOne(2)
				for i := range smallBatch {
					time.AfterFunc(time.Duration(i+1)*c.every, func() { v.verifyJobsOfOne(1) })
				}
				start := time.Now()
				b, release := v.nextBatch()
				defer release()
				if waited := time.Since(start); waited != c.waiting || b.verdicts < c.want || b.verdicts > c.want+1 {
					t.Errorf("%d verdicts after %v, want %d after %v", b.verdicts, waited, c.want, c.waiting)
				}
			})
		})
	}
}

func TestSingleJobDoesNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newCollector()
		v.verifyJobsOfOne(1)
		start := time.Now()
		_, release := v.nextBatch()
		defer release()
		if waited := time.Since(start); waited != 0 {
			t.Errorf("waited for %v", waited)
		}
	})
}

func TestLargeBatchDoesNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newCollector()
		v.verifyJobsOfOne(1)
		_, release := v.nextBatch()
		defer release()
		v.verifyJobsOfOne(smallBatch)
		start := time.Now()
		if b, _ := v.nextBatch(); b.verdicts != smallBatch || time.Since(start) != 0 {
			t.Errorf("%d verdicts after %v, want %d immediately", b.verdicts, time.Since(start), smallBatch)
		}
		v.verifyJobsOfOne(smallBatch - 1)
		time.AfterFunc(time.Millisecond, func() { v.verifyJobsOfOne(1) })
		if b, _ := v.nextBatch(); b.verdicts != smallBatch || time.Since(start) != time.Millisecond {
			t.Errorf("%d verdicts after %v, want %d as soon as the batch is large", b.verdicts, time.Since(start), smallBatch)
		}
	})
}

func TestLastBatchesAtTheEnd(t *testing.T) {
	t.Parallel()
	v := newCollector()
	v.verifyJobsOfOne(3)
	close(v.verified)
	for _, want := range []int{3, 0} {
		b, release := v.nextBatch()
		if b.verdicts != want {
			t.Errorf("%d verdicts, want %d", b.verdicts, want)
		}
		release()
	}
}
