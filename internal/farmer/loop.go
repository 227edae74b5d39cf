package farmer

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"slices"
	"time"
)

const (
	// maxRequests is the maximum number of requests for challenges and requests
	// with proofs that run at the same time.
	maxRequests = 4
	// proofBatch is the maximum number of proofs in one request.
	proofBatch = 100
	// askBatch is the maximum number of contracts in one request for challenges.
	askBatch = 500
)

// loop owns the contracts of a running farmer. Only the goroutine that calls run
// reads or changes the contracts. Slow work runs in other goroutines. Each
// goroutine returns a function, and the loop calls this function to apply the
// result.
type loop struct {
	*Farmer
	session

	contracts map[string]*contract // by file hash
	held      int64                // bytes of all contracts

	results  chan func() // each goroutine sends one result
	running  int         // number of goroutines that have not sent their result
	requests int         // number of goroutines that request challenges or send proofs
	proving  int         // number of goroutines that make proofs or write files
	taking   bool        // a goroutine requests contracts
	removing bool        // a goroutine removes contracts from the disk
	idle     int         // how often the node had no contract for this farmer; the second time, the log says so
	takeAt   time.Time   // no request for contracts before this time
	wake     time.Time   // time of the next step, unless a result arrives earlier
	ended    []record    // dropped contracts that are still on the disk

	askBatch, proofBatch int // current limits; the function smaller lowers them

	fatal error // an error that a retry cannot fix; it ends the loop
}

// newLoop loads the contracts on the disk. Only the node knows their current
// challenges, so the first step of each contract is to request its challenge.
func newLoop(f *Farmer, s session) (*loop, error) {
	l := &loop{
		Farmer:     f,
		session:    s,
		contracts:  make(map[string]*contract),
		results:    make(chan func()),
		askBatch:   askBatch,
		proofBatch: proofBatch,
	}
	records, err := f.disk.records()
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		l.add(&contract{record: r, stored: f.disk.hasFile(r)})
	}
	if len(records) > 0 {
		f.log.Info("continuing with the contracts on the disk", "contracts", len(l.contracts), "bytes", l.held)
		if l.held > f.cfg.Size {
			f.log.Warn("the contracts on the disk are larger than the size, so the farmer takes no new ones until some have ended", "bytes", l.held, "size", f.cfg.Size)
		}
	}
	return l, nil
}

// run runs until ctx ends or an error is fatal. All its goroutines have ended when
// it returns.
func (l *loop) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil && l.fatal == nil {
		l.startSteps(ctx, time.Now())
		timer.Reset(time.Until(l.wake))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case apply := <-l.results:
			l.apply(apply)
			l.applyPending()
		}
	}
	stop()
	for l.running > 0 {
		l.apply(<-l.results)
	}
	l.remove(l.ended)
	l.publish()
	return l.fatal
}

// start runs work in a goroutine. The loop calls the function that work
// returns.
func (l *loop) start(work func() (apply func())) {
	l.running++
	go func() { l.results <- work() }()
}

func (l *loop) apply(result func()) {
	l.running--
	result()
}

// applyPending applies the results that have already arrived. So one pass over all
// contracts is enough for many results.
func (l *loop) applyPending() {
	for {
		select {
		case result := <-l.results:
			l.apply(result)
		default:
			return
		}
	}
}

// startSteps starts the steps that are due at now, within the limits. It also sets
// the time of the next step. If a limit prevents a step, the step starts after the
// next result.
func (l *loop) startSteps(ctx context.Context, now time.Time) {
	var todo [stepsCount][]*contract
	l.wake = now.Add(time.Hour)
	known := true // which contracts from the disk have ended, so how much room there is
	for _, c := range l.contracts {
		known = known && (c.challenge != nil || !c.notBefore.IsZero())
		s, at := c.next(now)
		if s == stepWait {
			l.wake = earlier(l.wake, at)
			continue
		}
		todo[s] = append(todo[s], c)
	}
	for _, contracts := range todo {
		slices.SortFunc(contracts, func(a, b *contract) int { return a.due.Compare(b.due) })
	}

	l.startRemove()
	l.startAsk(ctx, todo[stepAsk])
	waiting := l.startEach(ctx, todo[stepProve], l.startProve) + l.startEach(ctx, todo[stepStore], l.startStore)
	l.startSend(ctx, todo[stepSend], waiting, now)
	if known {
		l.startTake(ctx, now)
	}
	l.publish()
}

// startEach calls start for as many contracts as there are free processors. It
// returns the number of contracts that remain.
func (l *loop) startEach(ctx context.Context, contracts []*contract, start func(context.Context, *contract)) (left int) {
	room := max(min(runtime.GOMAXPROCS(0)-l.proving, len(contracts)), 0)
	for _, c := range contracts[:room] {
		start(ctx, c)
	}
	return len(contracts) - room
}

// add adds a contract. A node has only one contract for a token and a file. So if
// the loop already holds a contract for the same file, the older contract has
// ended.
func (l *loop) add(c *contract) {
	if other, ok := l.contracts[c.FileHash]; ok {
		if other.Taken.After(c.Taken) {
			l.ended = append(l.ended, c.record)
			return
		}
		l.drop(other)
	}
	l.contracts[c.FileHash] = c
	l.held += c.Size
}

// drop ends a contract. startRemove removes its directory later.
func (l *loop) drop(c *contract) {
	if c.dropped {
		return
	}
	c.dropped = true
	delete(l.contracts, c.FileHash)
	l.held -= c.Size
	l.ended = append(l.ended, c.record)
	l.update(func(s *Snapshot) { s.Dropped++ })
}

// lose drops a contract that ended before it was completed.
func (l *loop) lose(c *contract, why string) {
	l.update(func(s *Snapshot) {
		s.Lost++
		s.LostWhy = why
	})
	l.drop(c)
}

// startRemove starts to remove dropped contracts from the disk.
func (l *loop) startRemove() {
	if l.removing || len(l.ended) == 0 {
		return
	}
	l.removing = true
	records := l.ended
	l.ended = nil
	l.start(func() func() {
		l.remove(records)
		return func() { l.removing = false }
	})
}

func (l *loop) remove(records []record) {
	for _, r := range records {
		if err := l.disk.remove(r); err != nil {
			l.update(func(s *Snapshot) { s.setError(err) })
			l.log.Error("cannot remove an ended contract from the disk", "file", r.FileHash, "error", err)
		}
	}
}

// retryLater delays contracts whose request, proof or write has failed. It keeps them:
// only the node knows if a contract has ended.
func (l *loop) retryLater(err error, contracts ...*contract) {
	if errors.Is(err, context.Canceled) {
		return // the loop is ending, so there will be no retry
	}
	if errors.Is(err, ErrTokenUnknown) {
		l.fatal = err
	}
	wait := l.failed(err)
	l.update(func(s *Snapshot) { s.Retries++ })
	l.log.Warn("trying again; the contracts and their files are kept", "contracts", len(contracts), "wait", wait.Round(time.Millisecond), "error", err)
	now := time.Now()
	for _, c := range contracts {
		c.notBefore = now.Add(wait)
		if soon := c.due.Add(-4 * l.cfg.Retry); now.Before(c.due) && !c.accepted && c.notBefore.After(soon) {
			c.notBefore = earlier(c.notBefore, now.Add(jitter(l.cfg.Retry))) // a longer wait could miss the due time
		}
	}
}

// smaller returns the batch limit to use after a batch of size contracts failed
// with err. If the node or a proxy refuses a whole batch, the batch may be too
// large, or one contract in the batch may be the cause. Smaller batches help in
// both cases.
func smaller(limit, size int, err error) int {
	response, ok := errors.AsType[*Error](err)
	if !ok || response.Temporary() {
		return limit
	}
	if !response.FromNode && response.Status != http.StatusRequestEntityTooLarge {
		return limit
	}
	return max(min(limit, size/2), 1)
}

// checkToken adds ErrTokenUnknown to err if the node refused a whole request
// because it no longer knows the token. Other errors are worth a retry.
func (l *loop) checkToken(ctx context.Context, err error) error {
	if err == nil || Temporary(err) {
		return err
	}
	if _, why := l.client.Heartbeat(ctx, l.token); deniesToken(why) {
		return errors.Join(ErrTokenUnknown, err)
	}
	return err
}

// publish updates the snapshot with the contracts that the farmer holds.
func (l *loop) publish() {
	var next, last time.Time
	for _, c := range l.contracts {
		if c.challenge != nil {
			next, last = earliest(next, c.due), later(last, c.due)
		}
	}
	l.update(func(s *Snapshot) {
		s.Contracts, s.Bytes, s.NextDue, s.LastDue = len(l.contracts), l.held, next, last
	})
}
