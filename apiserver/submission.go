package apiserver

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/queue"
)

// submission sends the proofs of one request to the workers and collects their
// verdicts. It sends parts, a job each, so that several workers share a large
// request and the API never holds all of it.
type submission struct {
	s        *Server
	f        farmer
	ctx      context.Context // ends with the request or after the answer timeout
	cancel   context.CancelFunc
	deadline time.Time // of all jobs

	hashes  []string       // as the farmer wrote them
	results []node.Outcome // in the same order
	open    part           // the part that add fills
	sent    []part
}

// part is one job.
type part struct {
	job   queue.Job
	at    []int // the position of each proof in the request
	bytes int
	reply <-chan queue.Reply
	stop  func()
}

// partBytes limits the bytes of a job; PartSize limits its number of proofs.
const partBytes = 256 << 10

// submit begins a submission. The caller must close it.
func (s *Server) submit(ctx context.Context, f farmer) *submission {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.AnswerTimeout)
	return &submission{s: s, f: f, ctx: ctx, cancel: cancel, deadline: s.Now().Add(s.cfg.AnswerTimeout)}
}

// close stops waiting for replies.
func (sub *submission) close() {
	for _, p := range sub.sent {
		p.stop()
	}
	sub.cancel()
}

// add adds a proof, and sends the open part if it is full.
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
	if len(sub.open.at) < sub.s.cfg.PartSize && sub.open.bytes < partBytes {
		return nil
	}
	return sub.send()
}

// send queues the open part. Received is now, because the proofs have arrived:
// time in the queue does not make them late, and a farmer that keeps a request
// open while it computes proofs gains nothing.
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
	if err := sub.s.Queue.Enqueue(sub.ctx, p.job); err != nil {
		p.stop()
		return err
	}
	sub.sent = append(sub.sent, p)
	return nil
}

// outcomes waits for all verdicts. If one is still missing it fails with a 503.
// The farmer then repeats the request, and gets the same outcome for each proof
// that is decided.
func (sub *submission) outcomes() ([]node.Outcome, error) {
	if err := sub.send(); err != nil {
		return nil, err
	}
	for i := range sub.sent {
		if err := sub.collect(&sub.sent[i]); err != nil {
			return nil, err
		}
	}
	if slices.Contains(sub.results, node.Undecided) {
		return nil, unavailable("the node could not decide on every proof, ask again")
	}
	sub.s.metrics.countVerdicts(sub.results)
	return sub.results, nil
}

// collect waits for the outcomes of a part.
func (sub *submission) collect(p *part) error {
	select {
	case reply := <-p.reply:
		if len(reply.Outcomes) != len(p.at) {
			return fmt.Errorf("reply to job %s has %d outcomes for %d proofs", p.job.ID, len(reply.Outcomes), len(p.at))
		}
		for i, at := range p.at {
			sub.results[at] = reply.Outcomes[i]
		}
		return nil
	case <-sub.ctx.Done():
		return sub.readRecords(p)
	}
}

// recordsTimeout limits reading the records after a lost reply.
const recordsTimeout = 2 * time.Second

// readRecords reads the outcomes of a part that got no reply. A failure of Redis
// can lose replies, but not verdicts.
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
