package workers

import (
	"context"
	"time"
)

const (
	// committers let one transaction gather while another waits for the disk.
	committers = 2
	// few verdicts cost the database less than the transaction around them.
	few = 32
	// turnPatience is how long few verdicts wait for those before them, whose
	// transaction may hang on a lock.
	turnPatience = 50 * time.Millisecond
	// lull is how long none comes where few come at a time. Where many farmers
	// answer there is hardly one.
	lull = time.Millisecond
)

func (v *Verifier) commitBallots(ctx context.Context) {
	for {
		g, leave := v.next()
		if len(g.ballots) == 0 {
			return
		}
		v.commit(ctx, g.ballots)
		leave()
	}
}

// gathering is ballots on their way into one transaction.
type gathering struct {
	ballots  []ballot
	verdicts int
}

func (g *gathering) add(b ballot) {
	g.ballots, g.verdicts = append(g.ballots, b), g.verdicts+len(b.verdicts)
}

// next gives what the next transaction is made of, nothing once no more comes.
// leave is called after the transaction.
func (v *Verifier) next() (g gathering, leave func()) {
	v.gathering.Lock() // else each committer would get a part of what there is
	defer v.gathering.Unlock()
	v.gather(&g)
	return g, v.takeTurn(&g)
}

// gather waits for a ballot and takes what others there are, until they hold
// CommitBatch verdicts. It waits for those that are being verified, but for
// CommitDelay at most: what comes later has the next transaction.
func (v *Verifier) gather(g *gathering) {
	first, ok := <-v.judged
	if !ok {
		return
	}
	g.add(first)
	delay := time.NewTimer(v.opt.CommitDelay)
	defer delay.Stop()
	for g.verdicts < v.opt.CommitBatch && (len(v.judged) > 0 || v.hand.verifying()) {
		select {
		case b, ok := <-v.judged:
			if !ok {
				return
			}
			g.add(b)
		case <-delay.C:
			return
		}
	}
}

// takeTurn lets few verdicts wait for the transaction of the few before them,
// and for more to come, and takes in what comes meanwhile: under load, there
// are fewer and larger ones. leave ends the turn.
func (v *Verifier) takeTurn(g *gathering) (leave func()) {
	patience := time.NewTimer(turnPatience)
	defer patience.Stop()
	for 0 < g.verdicts && g.verdicts < few {
		select {
		case v.turn <- struct{}{}:
			v.awaitLull(g)
			return func() { <-v.turn }
		case b, ok := <-v.judged:
			if !ok {
				return func() {}
			}
			g.add(b)
		case <-patience.C:
			return func() {}
		}
	}
	return func() {}
}

// awaitLull takes in what comes until nothing does for a moment, or they are
// few no more, but for CommitDelay at most. A job alone waits for nobody: its
// farmer is the only one there is.
func (v *Verifier) awaitLull(g *gathering) {
	if len(g.ballots) == 1 {
		return
	}
	delay, quiet := time.NewTimer(v.opt.CommitDelay), time.NewTimer(lull)
	defer delay.Stop()
	defer quiet.Stop()
	for g.verdicts < few {
		select {
		case b, ok := <-v.judged:
			if !ok {
				return
			}
			g.add(b)
			quiet.Reset(lull)
		case <-quiet.C:
			return
		case <-delay.C:
			return
		}
	}
}
