package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/queue"
	"github.com/driveshare/downstream-node/internal/redisdb"
)

// submission sends the proofs of one request to the workers and collects their
// verdicts. It splits the proofs into parts and sends each part as a job. So several
// workers can share a large request, and the API can send a part before it has read
// the rest.
type submission struct {
	s        *Server
	f        farmer
	ctx      context.Context // ends with the request, or after api.answerTimeout
	cancel   context.CancelFunc
	deadline time.Time // the deadline of all jobs

	hashes  []string       // the file hashes as the farmer wrote them
	results []node.Outcome // the outcomes, in the order of hashes
	open    part           // the part that add appends to
	sent    []part

	exchange  *exchange
	collected int // the number of sent parts that have their outcomes
}

// part is a part of the request's proofs, which becomes one job.
type part struct {
	job   queue.Job
	at    []int // the position of each proof in the request
	bytes int
	reply <-chan queue.Reply
	stop  func()

	refused bool      // the queue did not take the job
	decided time.Time // when the outcomes arrived; zero if none did
}

// partBytes limits the size of the proofs in a job. Config.PartSize limits their
// number.
const partBytes = 256 << 10

// proofCopies is how often a proof is in memory: in its part, and in the job on its way to
// Redis. A standalone node also holds the Redis and the worker's copy, but not for long.
const proofCopies = 2

// submit begins a submission. The caller must close it.
func (s *Server) submit(r *http.Request, f farmer) *submission {
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.AnswerTimeout)
	return &submission{s: s, f: f, ctx: ctx, cancel: cancel, deadline: s.Now().Add(s.cfg.AnswerTimeout), exchange: exchangeOf(r)}
}

// close stops waiting for replies.
func (sub *submission) close() {
	sub.countDecisions()
	for _, p := range sub.sent {
		p.stop()
	}
	sub.cancel()
}

// countDecisions counts the proofs by the time from their arrival to the decision. A proof
// without a decision counts if the node failed to decide: the queue refused the job, the
// worker could not decide, or the time was over. It does not count if the request ended
// early because of the farmer, such as one who hung up or whose body is not JSON.
func (sub *submission) countDecisions() {
	now := sub.s.Now()
	timedOut := errors.Is(sub.ctx.Err(), context.DeadlineExceeded)
	var within5s, later, never int
	for _, p := range sub.sent {
		at := p.decided
		if at.IsZero() {
			at = now
		}
		slow := at.Sub(p.job.Received) > decisionTarget
		for _, i := range p.at {
			switch decided := sub.results[i] != node.Undecided; {
			case decided && slow:
				later++
			case decided:
				within5s++
			case slow || timedOut || p.refused || !p.decided.IsZero():
				never++
			}
		}
	}
	m := sub.s.metrics
	m.within5s.Add(float64(within5s))
	m.later.Add(float64(later))
	m.never.Add(float64(never))
}

// add adds a proof to the open part, and sends the part if it is full.
func (sub *submission) add(fileHash string, proof []byte) error {
	if err := sub.hold(itemBytes); err != nil {
		return err
	}
	at := len(sub.hashes)
	sub.hashes = append(sub.hashes, fileHash)
	hash, ok := node.ParseFileHash(fileHash)
	if !ok {
		sub.results = append(sub.results, node.ContractNotFound)
		return nil
	}
	if err := sub.hold(proofCopies * int64(len(proof))); err != nil {
		return err
	}
	sub.results = append(sub.results, node.Undecided)
	sub.open.job.Proofs = append(sub.open.job.Proofs, queue.Proof{FileHash: hash, Proof: proof})
	sub.open.at = append(sub.open.at, at)
	sub.open.bytes += len(proof)
	if len(sub.open.at) < sub.s.cfg.PartSize && sub.open.bytes < partBytes {
		return nil
	}
	return sub.send()
}

// refuse adds an item that is not {"file_hash", "proof"}. fileHash is nil if the item
// has no file hash that the report can repeat. No worker judges the item.
func (sub *submission) refuse(fileHash *string) {
	if fileHash == nil {
		fileHash = new(string)
	}
	sub.hashes = append(sub.hashes, *fileHash)
	sub.results = append(sub.results, node.Malformed)
}

// hold reserves n bytes of api.bodyBudget for a proof. If there is no room, it first
// waits for the verdicts on the request's earlier proofs, because they then need no
// memory. So a large request alone cannot use up the budget.
func (sub *submission) hold(n int64) error {
	for !sub.exchange.tryHold(n) {
		if err := sub.send(); err != nil {
			return err
		}
		if sub.collected == len(sub.sent) {
			return sub.exchange.hold(sub.ctx, n)
		}
		if err := sub.collectNext(); err != nil {
			return err
		}
		if sub.ctx.Err() != nil {
			sub.noteArrivals() // it needs the proofs
			return errUndecided
		}
		p := &sub.sent[sub.collected-1]
		if slices.ContainsFunc(p.at, func(at int) bool { return sub.results[at] == node.Undecided }) {
			sub.noteArrivals() // it needs the proofs
		}
		p.job.Proofs = nil
		sub.exchange.free(proofCopies * int64(p.bytes))
	}
	return nil
}

// send enqueues the open part. The job's Received is the current time, because the
// proofs have now arrived. So the time in the queue does not count as the farmer's
// delay. The time that a farmer needs to send the request does count.
func (sub *submission) send() error {
	p := sub.open
	sub.open = part{}
	if len(p.at) == 0 {
		return nil
	}
	p.job.ID = queue.NewID()
	p.job.ReplyTo = sub.s.replies.Address()
	p.job.TokenID = sub.f.record.ID
	p.job.KeyID = sub.f.record.KeyID
	p.job.Received = sub.s.Now()
	p.job.Deadline = sub.deadline
	p.reply, p.stop = sub.s.replies.Expect(p.job.ID)
	err := sub.s.Queue.Enqueue(sub.ctx, p.job)
	p.refused = err != nil && !errors.Is(sub.ctx.Err(), context.Canceled) // the farmer did not give up
	sub.sent = append(sub.sent, p)
	if err != nil && !errors.Is(err, redisdb.ErrUnavailable) {
		sub.noteArrivals()
	}
	return err
}

// outcomes waits for all verdicts. If a verdict is still missing after that, outcomes
// returns an error with status 503. The farmer then repeats the request. For each
// proof that already has a verdict, it gets the same outcome again.
func (sub *submission) outcomes() ([]node.Outcome, error) {
	if err := sub.send(); err != nil {
		return nil, err
	}
	for sub.collected < len(sub.sent) {
		if err := sub.collectNext(); err != nil {
			return nil, err
		}
	}
	if slices.Contains(sub.results, node.Undecided) {
		sub.noteArrivals()
		return nil, unavailable("the node could not decide on every proof, ask again")
	}
	sub.s.metrics.countVerdicts(sub.results)
	sub.s.Proofs.Count(sub.s.Now(), len(sub.results), 0)
	return sub.results, nil
}

// collectNext waits for the outcomes of the first part that has none.
func (sub *submission) collectNext() error {
	if err := sub.collect(&sub.sent[sub.collected]); err != nil {
		sub.noteArrivals()
		return err
	}
	sub.collected++
	return nil
}

// collect waits for the outcomes of a part. If no reply arrives in time, it reads the
// outcomes from the store.
func (sub *submission) collect(p *part) error {
	var reply queue.Reply
	select {
	case reply = <-p.reply:
	case <-sub.ctx.Done():
		select {
		case reply = <-p.reply: // it arrived before, while the farmer still sent proofs
		default:
			return sub.readRecords(p)
		}
	}
	if len(reply.Outcomes) != len(p.at) {
		return fmt.Errorf("reply to job %s has %d outcomes for %d proofs", p.job.ID, len(reply.Outcomes), len(p.at))
	}
	for i, at := range p.at {
		sub.results[at] = reply.Outcomes[i]
	}
	p.decided = reply.Arrived
	return nil
}

// recordsTimeout limits the time to read the outcomes from the store.
const recordsTimeout = 2 * time.Second

// readRecords reads the outcomes of a part from the store, because no reply has
// arrived. A failure of Redis can lose replies, but not committed verdicts.
func (sub *submission) readRecords(p *part) error {
	sub.s.metrics.lostReplies.Inc()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(sub.ctx), recordsTimeout)
	defer cancel()
	names := make([]node.ContractName, len(p.job.Proofs))
	for i, proof := range p.job.Proofs {
		names[i] = node.ContractName{TokenID: sub.f.record.ID, FileHash: proof.FileHash}
	}
	contracts, err := sub.s.Store.Contracts(ctx, names)
	if err != nil {
		return err
	}
	for i, proof := range p.job.Proofs {
		c, ok := contracts[names[i]]
		if !ok {
			continue
		}
		outcome, _ := c.Decided(node.DigestOf(proof.Proof), p.job.Received, sub.s.limits.WrongAnswers)
		if outcome == node.OKAgain || outcome == node.InvalidAgain {
			sub.results[p.at[i]] = outcome
		}
	}
	return nil
}

// arrivalWindow is the time before a contract's expiry in which noteArrivals stores
// arrivals. Deployed farmers repeat a request after three seconds, so a proof that
// arrives earlier is sent again in time.
const arrivalWindow = 2 * time.Minute

// noteArrivals counts the undecided proofs, and stores when they arrived, so that they are still in time
// if the farmer sends them again after the contract's due time. It stores only proofs
// that a worker would judge, so that a farmer cannot fill Redis. A failure is only
// logged: the farmer then has to repeat its request in time.
func (sub *submission) noteArrivals() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(sub.ctx), recordsTimeout)
	defer cancel()
	var names []node.ContractName
	var proofs []redisdb.Arrival
	for _, p := range sub.sent {
		for i, proof := range p.job.Proofs {
			if sub.results[p.at[i]] == node.Undecided {
				name := node.ContractName{TokenID: sub.f.record.ID, FileHash: proof.FileHash}
				names = append(names, name)
				proofs = append(proofs, redisdb.Arrival{Contract: name, Proof: node.DigestOf(proof.Proof), At: p.job.Received})
			}
		}
	}
	cached := func(int, *node.Contract) bool { return false }
	// If MySQL is unavailable, contracts has the contracts that are cached.
	contracts, err := sub.s.contracts.Read(ctx, names, cached)
	now := sub.s.Now()
	undecided := len(proofs)
	var arrivals []redisdb.Arrival
	for i, a := range proofs {
		c := contracts[i]
		if c == nil {
			continue
		}
		outcome, decided := c.Decided(a.Proof, a.At, sub.s.limits.WrongAnswers)
		switch {
		case decided:
			undecided--
			if outcome == node.ContractExpired {
				sub.s.Proofs.Returned(c.TokenID)
			}
		case c.Expired(now.Add(arrivalWindow)):
			arrivals = append(arrivals, a)
		}
	}
	if !errors.Is(sub.ctx.Err(), context.Canceled) { // the farmer did not give up
		sub.s.Proofs.Count(now, 0, undecided)
	}
	if err := errors.Join(err, sub.s.Redis.Arrivals().Note(ctx, arrivals)); err != nil {
		sub.s.Log.Debug("cannot store the arrival of every undecided proof", "error", err)
	}
}
