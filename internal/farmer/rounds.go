package farmer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
)

const (
	// earlyPause is the wait after the farmer requested a challenge too early.
	// Because due is rounded down, requests can be too early for up to a second.
	earlyPause = 250 * time.Millisecond
	// renewPause is how long the farmer waits for the node to encode the file of a completed
	// contract again, before it asks for contracts.
	renewPause = 5 * time.Second
	// maxBatchWait is how long a proof waits for other proofs to fill its batch.
	maxBatchWait = 200 * time.Millisecond
)

// startAsk starts requests for the contracts' current challenges.
func (l *loop) startAsk(ctx context.Context, contracts []*contract) {
	for batch := range slices.Chunk(contracts, l.askBatch) {
		if l.requests >= maxRequests {
			return
		}
		hashes := make([]string, len(batch))
		for i, c := range batch {
			hashes[i] = c.FileHash
		}
		startBatch(ctx, l, "challenge", &l.askBatch, batch, l.applyChallenge, func() ([]Challenge, error) {
			return l.client.Challenges(ctx, l.token, hashes)
		})
	}
}

// startBatch starts a request about a batch of contracts. request returns the items
// of the response, and apply applies the item of each contract. Contracts without
// an item are retried. If the whole request fails, smaller adjusts limit.
func startBatch[T interface{ file() string }](ctx context.Context, l *loop, op string, limit *int, batch []*contract,
	apply func(*contract, T), request func() ([]T, error),
) {
	l.requests++
	for _, c := range batch {
		c.busy = true
	}
	l.start(func() func() {
		items, err := request()
		err = l.checkToken(ctx, err)
		return func() {
			l.requests--
			byFile := make(map[string]T, len(items))
			for _, item := range items {
				byFile[item.file()] = item
			}
			var missing []*contract
			for _, c := range batch {
				c.busy = false
				if c.dropped || err != nil {
					continue
				}
				if item, ok := byFile[c.FileHash]; ok {
					apply(c, item)
				} else {
					missing = append(missing, c)
				}
			}
			switch {
			case err != nil:
				*limit = smaller(*limit, len(batch), err)
				l.retryLater(err, batch...)
			case len(missing) > 0:
				l.retryLater(fmt.Errorf("%s: the node's response leaves out %d of %d contracts", op, len(missing), len(batch)), missing...)
			default:
				l.succeeded()
			}
		}
	})
}

// applyChallenge applies the item of the node's response about one contract's
// challenge.
func (l *loop) applyChallenge(c *contract, current Challenge) {
	now := time.Now()
	switch {
	case current.Error != "":
		l.log.Warn("the node ended a contract", "file", c.FileHash, "reason", current.Error)
		l.update(func(s *Snapshot) { s.setError(fmt.Errorf("challenge: file %s: %s", c.FileHash, current.Error)) })
		l.lose(c, current.Error)
		return
	case current.Status == NoMoreChallenges:
		l.log.Info("a contract is completed", "file", c.FileHash)
		l.drop(c)
		l.takeAt = later(l.takeAt, now.Add(renewPause))
		return
	}
	challenge, err := l.prover.ParseChallenge(current.Challenge)
	if err != nil {
		l.retryLater(fmt.Errorf("challenge: file %s: %w", c.FileHash, err), c)
		return
	}
	c.setChallenge(challenge, current.DueAt(), current.Answered)
	c.notBefore = now
	if c.accepted && !now.Before(c.due) {
		c.notBefore = now.Add(earlyPause)
		l.update(func(s *Snapshot) { s.Early++ })
	}
}

// startWork starts work on one contract. done applies the result, unless the
// contract has ended in the meantime.
func (l *loop) startWork(c *contract, work func() error, done func(error)) {
	c.busy = true
	l.proving++
	l.start(func() func() {
		err := work()
		return func() {
			l.proving--
			c.busy = false
			if !c.dropped {
				done(err)
			}
		}
	})
}

// startStore starts a goroutine that writes the contract's file.
func (l *loop) startStore(ctx context.Context, c *contract) {
	l.startWork(c, func() error { return l.disk.writeFile(ctx, c.record) }, func(err error) {
		switch {
		case err == nil:
			c.stored = true
		case errors.Is(err, errContent):
			l.countRefused(err)
			l.drop(c)
			l.delayTake(time.Now())
		default:
			l.retryLater(fmt.Errorf("writing file %s: %w", c.FileHash, err), c)
		}
	})
}

// startProve starts a goroutine that makes the proof for the contract's challenge.
func (l *loop) startProve(ctx context.Context, c *contract) {
	challenge, due := c.challenge, c.due
	var proof json.RawMessage
	work := func() (err error) {
		proof, err = l.disk.prove(ctx, l.prover, c.record, challenge, due)
		return err
	}
	l.startWork(c, work, func(err error) {
		if errors.Is(err, errNoFile) {
			c.stored = false
			l.log.Warn("a file is missing; writing it again from its seed", "file", c.FileHash)
			return
		}
		if errors.Is(err, errTag) {
			l.log.Error("a contract is lost, because the tag of its file cannot be used or made again", "file", c.FileHash, "error", err)
			l.lose(c, errTag.Error())
			return
		}
		if err != nil {
			l.retryLater(fmt.Errorf("proving file %s: %w", c.FileHash, err), c)
			return
		}
		c.proof, c.notBefore = proof, time.Now()
	})
}

// errNoFile is returned if the file of a contract is missing.
var errNoFile = errors.New("the file is missing")

// errTag is returned if a contract's tag is missing or damaged. Only the node's key makes tags.
var errTag = errors.New("the tag on the disk is missing or damaged")

// prove makes the proof from the file and the tag on the disk. It stops one second
// after the due, because the due is rounded down.
func (d *disk) prove(ctx context.Context, p heartbeat.Prover, r record, challenge []byte, due time.Time) (json.RawMessage, error) {
	ctx, cancel := context.WithDeadline(ctx, due.Add(rounding))
	defer cancel()
	file, err := os.Open(filepath.Join(r.dir, fileName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoFile
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	tag, err := os.ReadFile(filepath.Join(r.dir, tagName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errTag
	}
	if err != nil {
		return nil, err
	}
	proof, err := p.Prove(ctx, file, r.Size, tag, challenge)
	if errors.Is(err, heartbeat.ErrMalformed) { // the challenge was parsed before
		return nil, fmt.Errorf("%w: %w", errTag, err)
	}
	if err != nil {
		return nil, err
	}
	return p.ProofJSON(proof)
}

// startSend starts to send the proofs that are ready, in batches. A batch that is
// not full waits up to maxBatchWait if more proofs will follow. unproved is the
// number of contracts without a proof. If a report omits a proof, the farmer sends
// this proof again. The node counts the same proof only once.
func (l *loop) startSend(ctx context.Context, ready []*contract, unproved int, now time.Time) {
	for len(ready) > 0 && l.requests < maxRequests {
		batch := ready[:min(len(ready), l.proofBatch)]
		oldest := batch[0].notBefore
		proofs := make([]Proof, len(batch))
		for i, c := range batch {
			oldest = earlier(oldest, c.notBefore)
			proofs[i] = Proof{c.FileHash, c.proof}
		}
		if len(batch) < l.proofBatch && l.proving+unproved > 0 && now.Before(oldest.Add(maxBatchWait)) {
			l.wake = earlier(l.wake, oldest.Add(maxBatchWait))
			return
		}
		ready = ready[len(batch):]
		startBatch(ctx, l, "answer", &l.proofBatch, batch, l.applyVerdict, func() ([]Verdict, error) {
			return l.client.Answers(ctx, l.token, proofs)
		})
	}
}

// applyVerdict applies the verdict on one proof. A rejection is final.
func (l *loop) applyVerdict(c *contract, verdict Verdict) {
	if verdict.OK() {
		c.accepted, c.proof = true, nil
		l.update(func(s *Snapshot) { s.Heartbeats++ })
	} else {
		err := fmt.Errorf("answer: file %s: %s", c.FileHash, verdict.Error)
		l.log.Warn("proof rejected", "file", c.FileHash, "reason", verdict.Error)
		l.update(func(s *Snapshot) {
			s.setError(err)
			s.Rejected++
		})
		l.lose(c, verdict.Error)
		l.delayTake(time.Now())
	}
	if l.cfg.OnHeartbeat != nil {
		l.cfg.OnHeartbeat(verdict)
	}
}
