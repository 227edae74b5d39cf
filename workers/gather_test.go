package workers

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/driveshare/downstream-node/internal/store"
)

func gatherer() *Verifier {
	return &Verifier{
		opt:    VerifierOptions{CommitBatch: 10 * few, CommitDelay: 5 * lull},
		hand:   newHand(1, 1000, 1000, 1),
		judged: make(chan ballot, 1000),
		turn:   make(chan struct{}, 1),
	}
}

// judge adds ballots of one verdict each.
func (v *Verifier) judge(ballots int) {
	for range ballots {
		v.judged <- ballot{verdicts: make([]store.Verdict, 1)}
	}
}

func TestFewVerdictsWaitForTheFewBeforeThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := gatherer()
		v.judge(1)
		first, leave := v.next()
		if first.verdicts != 1 {
			t.Fatalf("%d verdicts, want 1", first.verdicts)
		}
		v.judge(3)
		time.AfterFunc(2*time.Millisecond, func() { v.judge(4) })
		time.AfterFunc(5*time.Millisecond, leave)
		start := time.Now()
		second, leave := v.next()
		if waited := time.Since(start); second.verdicts != 7 || waited != 5*time.Millisecond+lull {
			t.Errorf("%d verdicts after %v, want all 7, after a lull when the first are committed", second.verdicts, waited)
		}
		v.judge(1)
		start = time.Now()
		if third, _ := v.next(); third.verdicts != 1 || time.Since(start) != turnPatience {
			t.Errorf("%d verdicts after %v, want 1 after as long as patience lasts", third.verdicts, time.Since(start))
		}
		leave()
	})
}

func TestFewVerdictsWaitForALull(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		every   time.Duration // a ballot comes, when 2 are there
		waiting time.Duration
		want    int
	}{
		{"nothing more comes", time.Hour, lull, 2},
		{"more comes now and then", 2 * lull, lull, 2},
		{"more comes all the time", lull / 2, 5 * lull, 2 + 10 - 1},
		{"many more come", lull / 20, lull / 20 * (few - 2), few},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				v := gatherer()
				v.judge(2)
				for i := range few {
					time.AfterFunc(time.Duration(i+1)*c.every, func() { v.judge(1) })
				}
				start := time.Now()
				g, leave := v.next()
				defer leave()
				if waited := time.Since(start); waited != c.waiting || g.verdicts < c.want || g.verdicts > c.want+1 {
					t.Errorf("%d verdicts after %v, want %d after %v", g.verdicts, waited, c.want, c.waiting)
				}
			})
		})
	}
}

func TestOneVerdictWaitsForNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := gatherer()
		v.judge(1)
		start := time.Now()
		_, leave := v.next()
		defer leave()
		if waited := time.Since(start); waited != 0 {
			t.Errorf("waited for %v", waited)
		}
	})
}

func TestManyVerdictsWaitForNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := gatherer()
		v.judge(1)
		_, leave := v.next()
		defer leave()
		v.judge(few)
		start := time.Now()
		if g, _ := v.next(); g.verdicts != few || time.Since(start) != 0 {
			t.Errorf("%d verdicts after %v, want %d at once", g.verdicts, time.Since(start), few)
		}
		v.judge(few - 1)
		time.AfterFunc(time.Millisecond, func() { v.judge(1) })
		if g, _ := v.next(); g.verdicts != few || time.Since(start) != time.Millisecond {
			t.Errorf("%d verdicts after %v, want %d as soon as they are so many", g.verdicts, time.Since(start), few)
		}
	})
}

func TestNothingIsGatheredAtTheEnd(t *testing.T) {
	t.Parallel()
	v := gatherer()
	v.judge(3)
	close(v.judged)
	for _, want := range []int{3, 0} {
		g, leave := v.next()
		if g.verdicts != want {
			t.Errorf("%d verdicts, want %d", g.verdicts, want)
		}
		leave()
	}
}
