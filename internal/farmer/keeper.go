package farmer

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"
)

// keeper owns the contracts of a running farmer: only its goroutine, the one
// that calls keep, reads or changes them. What takes time is started beside
// it and ends in a function that the keeper then applies.
type keeper struct {
	*Farmer
	member

	contracts map[string]*contract // by file hash
	held      int64                // bytes

	outcomes chan func() // one from each thing started
	running  int         // things started whose outcome is still to come
	requests int         // of those, requests for challenges and with answers
	proving  int         // of those, proofs and file writes
	taking   bool        // of those, a request for contracts
	clearing bool        // of those, a removal from the disk
	takeAt   time.Time   // no request for contracts before this moment
	dropped  []record    // still on the disk

	askBatch, answerBatch int // contracts in one request at most

	fatal error // why going on is of no use
}

// newKeeper takes up the contracts on the disk. Where they stand, the node
// has to say: the first step of each is to ask.
func newKeeper(f *Farmer, m member) (*keeper, error) {
	k := &keeper{
		Farmer:    f,
		member:    m,
		contracts: make(map[string]*contract),
		outcomes:  make(chan func()),

		askBatch:    askBatch,
		answerBatch: f.cfg.Batch,
	}
	records, err := f.shelf.records()
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		k.add(&contract{record: r, stored: f.shelf.hasFile(r)})
	}
	if len(records) > 0 {
		f.log.Info("going on with contracts", "contracts", len(k.contracts), "bytes", k.held)
	}
	return k, nil
}

// keep runs until ctx ends or going on is of no use, and leaves nothing
// running.
func (k *keeper) keep(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil && k.fatal == nil {
		wake := k.begin(ctx, time.Now())
		timer.Reset(time.Until(wake))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case apply := <-k.outcomes:
			k.apply(apply)
			k.applyWaiting()
		}
	}
	stop()
	for k.running > 0 {
		k.apply(<-k.outcomes)
	}
	k.remove(k.dropped)
	k.publish()
	return k.fatal
}

// start runs work beside the keeper, which applies what it returns.
func (k *keeper) start(work func() (apply func())) {
	k.running++
	go func() { k.outcomes <- work() }()
}

func (k *keeper) apply(outcome func()) {
	k.running--
	outcome()
}

// applyWaiting applies the outcomes that are there already, so that a look
// over all contracts serves many of them.
func (k *keeper) applyWaiting() {
	for {
		select {
		case outcome := <-k.outcomes:
			k.apply(outcome)
		default:
			return
		}
	}
}

// begin starts all that is to be done at now, as far as there is room for it,
// and gives the moment at which there is more to do. Where there was no room,
// the outcome of what is running comes first.
func (k *keeper) begin(ctx context.Context, now time.Time) (wake time.Time) {
	var todo [steps][]*contract
	wake = now.Add(time.Hour)
	for _, c := range k.contracts {
		s, at := c.next(now)
		if s == rest {
			wake = earlier(wake, at)
			continue
		}
		todo[s] = append(todo[s], c)
	}
	for _, contracts := range todo {
		slices.SortFunc(contracts, func(a, b *contract) int { return a.due.Compare(b.due) })
	}

	for _, c := range todo[drop] {
		k.drop(c)
	}
	k.clear()
	k.askFor(ctx, todo[ask])
	waiting := k.work(ctx, todo[prove], k.prove) + k.work(ctx, todo[store], k.store)
	if at, ok := k.answerWith(ctx, todo[answer], waiting, now); ok {
		wake = earlier(wake, at)
	}
	if at, ok := k.takeMore(ctx, now); ok {
		wake = earlier(wake, at)
	}
	k.publish()
	return wake
}

// work starts one for as many of the contracts as there is room for and says
// how many are left.
func (k *keeper) work(ctx context.Context, contracts []*contract, one func(context.Context, *contract)) (left int) {
	room := max(min(k.cfg.Provers-k.proving, len(contracts)), 0)
	for _, c := range contracts[:room] {
		one(ctx, c)
	}
	return len(contracts) - room
}

// add takes a contract into keeping. One for the same file makes way: a node
// has one contract for a token and a file, so the older of the two is over.
func (k *keeper) add(c *contract) {
	if other, ok := k.contracts[c.FileHash]; ok {
		if other.Taken.After(c.Taken) {
			k.dropped = append(k.dropped, c.record)
			return
		}
		k.drop(other)
	}
	k.contracts[c.FileHash] = c
	k.held += c.Size
}

// drop ends a contract. Its directory goes when clear comes to it.
func (k *keeper) drop(c *contract) {
	if c.gone {
		return
	}
	c.gone = true
	delete(k.contracts, c.FileHash)
	k.held -= c.Size
	k.dropped = append(k.dropped, c.record)
	k.tally.count(func(s *Snapshot) { s.Dropped++ })
}

// clear starts removing what has been dropped.
func (k *keeper) clear() {
	if k.clearing || len(k.dropped) == 0 {
		return
	}
	k.clearing = true
	records := k.dropped
	k.dropped = nil
	k.start(func() func() {
		k.remove(records)
		return func() { k.clearing = false }
	})
}

func (k *keeper) remove(records []record) {
	for _, r := range records {
		if err := k.shelf.remove(r); err != nil {
			k.tally.failure(err)
			k.log.Error("a dropped contract stays on the disk", "file", r.FileHash, "error", err)
		}
	}
}

// failed puts off the contracts of a request, proof or write that failed.
func (k *keeper) failed(contracts []*contract, err error) {
	if errors.Is(err, context.Canceled) {
		return // it is the keeper that ends
	}
	if errors.Is(err, ErrTokenUnknown) {
		k.fatal = err
	}
	k.tally.failure(err)
	k.tally.count(func(s *Snapshot) { s.Retries++ })
	wait := k.waitAfter(err)
	k.log.Warn("trying again", "contracts", len(contracts), "wait", wait, "error", err)
	at := time.Now().Add(wait)
	for _, c := range contracts {
		c.at = at
	}
}

// smaller is the limit for the batches after one of size contracts failed
// with err. A node that refuses one as a whole may have found it too big, as
// may what stands before it; and if it is one contract that the node minds,
// the others get away from that one.
func smaller(limit, size int, err error) int {
	answer, ok := errors.AsType[*Error](err)
	if !ok || answer.Temporary() {
		return limit
	}
	if !answer.FromNode && answer.Status != http.StatusRequestEntityTooLarge {
		return limit
	}
	return max(min(limit, size/2), 1)
}

// explain asks, of a request that was refused as a whole, whether the node
// still knows the token. All else is worth repeating.
func (k *keeper) explain(ctx context.Context, err error) error {
	if err == nil || Temporary(err) {
		return err
	}
	if _, why := k.client.Heartbeat(ctx, k.token); deniesToken(why) {
		return errors.Join(ErrTokenUnknown, err)
	}
	return err
}

// publish tells the snapshot what is held.
func (k *keeper) publish() {
	var next time.Time
	for _, c := range k.contracts {
		if c.challenge != nil && !c.finished && (next.IsZero() || c.due.Before(next)) {
			next = c.due
		}
	}
	k.tally.count(func(s *Snapshot) {
		s.Contracts, s.Bytes, s.NextDue = len(k.contracts), k.held, next
	})
}
