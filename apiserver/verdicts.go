package apiserver

import (
	"context"
	"fmt"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/queue"
)

// submission is the answers of one request on their way to the workers and
// back. They travel in parts, a job each, so that a large request is spread
// over the workers and never held here whole.
type submission struct {
	s        *Server
	f        farmer
	ctx      context.Context // ends with the request or the answer timeout
	cancel   context.CancelFunc
	deadline time.Time // for all of its jobs

	hashes  []string       // as the farmer wrote them
	results []node.Outcome // in the same order
	open    part           // being filled
	sent    []part
}

// part is one job, and where in the request its answers stand.
type part struct {
	job   queue.Job
	at    []int
	bytes int
	reply <-chan queue.Reply
	stop  func()
}

// partBytes bounds a job beside the number of its proofs.
const partBytes = 256 << 10

// submit begins a submission.
func (s *Server) submit(ctx context.Context, f farmer) *submission {
	ctx, cancel := context.WithTimeout(ctx, s.opt.AnswerTimeout)
	return &submission{s: s, f: f, ctx: ctx, cancel: cancel, deadline: s.now().Add(s.opt.AnswerTimeout)}
}

// close forgets what is still awaited.
func (sub *submission) close() {
	for _, p := range sub.sent {
		p.stop()
	}
	sub.cancel()
}

// add takes one answer in, and sends a part that is full.
func (sub *submission) add(fileHash string, proof []byte) error {
	at := len(sub.hashes)
	sub.hashes = append(sub.hashes, fileHash)
	hash, ok := node.ParseFileHash(fileHash)
	if !ok {
		sub.results = append(sub.results, node.ContractNotFound)
		return nil
	}
	sub.results = append(sub.results, node.Undecided)
	sub.open.job.Proofs = append(sub.open.job.Proofs, queue.Proof{FileHash: hash, Proof: proof})
	sub.open.at = append(sub.open.at, at)
	sub.open.bytes += len(proof)
	if len(sub.open.at) < sub.s.opt.PartSize && sub.open.bytes < partBytes {
		return nil
	}
	return sub.send()
}

// send queues the open part. Its proofs are in time or late by the moment now,
// when they have arrived: a long queue costs the farmer nothing, and a request
// that is kept open until the proof is found gains nothing.
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
	p.job.Received = sub.s.now()
	p.job.Deadline = sub.deadline
	p.reply, p.stop = sub.s.replies.Expect(p.job.ID)
	if err := sub.s.queue.Enqueue(sub.ctx, p.job); err != nil {
		p.stop()
		return err
	}
	sub.sent = append(sub.sent, p)
	return nil
}

// outcomes waits for every verdict. It fails, with an error that makes a 503,
// unless all of them are known: the farmer asks again and is then told the
// same of those that were decided now.
func (sub *submission) outcomes() ([]node.Outcome, error) {
	if err := sub.send(); err != nil {
		return nil, err
	}
	for i := range sub.sent {
		if err := sub.collect(&sub.sent[i]); err != nil {
			return nil, err
		}
	}
	for _, outcome := range sub.results {
		if outcome == node.Undecided {
			return nil, unavailable("the node could not decide on every proof, ask again")
		}
	}
	sub.s.metrics.told(sub.results)
	return sub.results, nil
}

func (sub *submission) collect(p *part) error {
	select {
	case reply := <-p.reply:
		if len(reply.Outcomes) != len(p.at) {
			return fmt.Errorf("reply to job %s has %d outcomes for %d answers", p.job.ID, len(reply.Outcomes), len(p.at))
		}
		for i, at := range p.at {
			sub.results[at] = reply.Outcomes[i]
		}
		return nil
	case <-sub.ctx.Done():
		return sub.fromRecords(p)
	}
}

// recordsTimeout is how long the store may take to say what became of a job
// whose reply was lost.
const recordsTimeout = 2 * time.Second

// fromRecords reads what became of a part whose reply did not come: replies
// can be lost with Redis, verdicts cannot.
func (sub *submission) fromRecords(p *part) error {
	sub.s.metrics.lost.Inc()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(sub.ctx), recordsTimeout)
	defer cancel()
	names := make([]node.ContractName, len(p.job.Proofs))
	for i, a := range p.job.Proofs {
		names[i] = node.ContractName{TokenID: sub.f.record.ID, FileHash: a.FileHash}
	}
	contracts, err := sub.s.store.Contracts(ctx, names)
	if err != nil {
		return err
	}
	for i, a := range p.job.Proofs {
		c, ok := contracts[names[i]]
		if !ok {
			continue
		}
		outcome, _ := c.Decided(node.DigestOf(a.Proof), p.job.Received, sub.s.opt.WrongAnswers)
		if outcome == node.OKAgain || outcome == node.InvalidAgain {
			sub.results[p.at[i]] = outcome
		}
	}
	return nil
}
