package farmer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// contract is one contract that the loop owns.
type contract struct {
	record

	stored    bool            // the file is on the disk
	challenge []byte          // binary form; nil until the node has sent it
	due       time.Time       // when the challenge is due; up to a second early
	accepted  bool            // the node has accepted a proof for the challenge
	proof     json.RawMessage // proof for the challenge; nil until it is made

	notBefore time.Time // no step before this time
	busy      bool      // a step is running
	dropped   bool      // the contract has ended, perhaps during a step
}

// step is the next action that a contract needs.
type step int

const (
	stepWait   step = iota // do nothing before the returned time
	stepAsk                // ask the node for the current challenge
	stepStore              // write the file
	stepProve              // make the proof
	stepSend               // send the proof
	stepsCount             // the number of steps
)

// rounding is the maximum time by which a due can be too early. The node rounds a
// due down to whole seconds.
const rounding = time.Second

// next returns the next step of the contract and the time of this step. Before that
// time the step is stepWait.
func (c *contract) next(now time.Time) (step, time.Time) {
	var s step
	from := c.notBefore
	switch {
	case c.busy:
		return stepWait, now.Add(maxDue) // the step's result wakes the loop
	case c.challenge == nil:
		s = stepAsk
	case c.accepted:
		s, from = stepAsk, later(c.notBefore, c.due)
	case !now.Before(c.due.Add(rounding)):
		// The contract has probably expired, but only the node decides that.
		s = stepAsk
	case !c.stored:
		s = stepStore
	case c.proof == nil:
		s = stepProve
	default:
		s = stepSend
	}
	if now.Before(from) {
		return stepWait, from
	}
	return s, from
}

// setChallenge records the current challenge. It keeps a proof that was made
// for the same challenge.
func (c *contract) setChallenge(challenge []byte, due time.Time, accepted bool) {
	if !bytes.Equal(c.challenge, challenge) {
		c.proof = nil
	}
	c.challenge, c.due, c.accepted = challenge, due, accepted
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// takeGrace is how long a request for contracts may continue after the farmer was
// stopped. The node has already made the contracts. If the farmer does not receive
// them, they are lost.
const takeGrace = 5 * time.Second

// startTake starts a request for contracts if the farmer has room for more
// contracts and takeAt has passed.
func (l *loop) startTake(ctx context.Context, now time.Time) {
	room := l.cfg.Size - l.held
	if l.taking || room <= 0 {
		return
	}
	if now.Before(l.takeAt) {
		l.wake = earlier(l.wake, l.takeAt)
		return
	}
	l.taking = true
	l.start(func() func() {
		ctx, cancel := withGrace(ctx, takeGrace)
		defer cancel()
		taken, refused, err := l.take(ctx, room)
		err = l.checkToken(ctx, err)
		return func() {
			l.taking = false
			l.addTaken(room, taken, refused, err)
		}
	})
}

// take requests contracts whose sizes add up to at most room bytes. It saves each
// contract when the contract arrives. If take returns contracts and an error, the
// contracts are valid.
func (l *loop) take(ctx context.Context, room int64) (taken []*contract, refused int, err error) {
	for chunk, err := range l.client.Chunks(ctx, l.token, room) {
		if err != nil {
			return taken, refused, err
		}
		c, err := l.save(chunk, room)
		if err != nil {
			refused++
			l.countRefused(fmt.Errorf("chunk: file %s: %w", chunk.FileHash, err))
			continue
		}
		room -= chunk.Size
		taken = append(taken, c)
	}
	return taken, refused, nil
}

// save writes the contract's record and tag to the disk, but not its file.
func (l *loop) save(chunk Chunk, room int64) (*contract, error) {
	if chunk.Size > room {
		return nil, fmt.Errorf("it has %d bytes, but the farmer asked for %d", chunk.Size, room)
	}
	tag, err := l.prover.ParseTag(chunk.Tag)
	if err != nil {
		return nil, fmt.Errorf("tag: %w", err)
	}
	challenge, err := l.prover.ParseChallenge(chunk.Challenge)
	if err != nil {
		return nil, fmt.Errorf("challenge: %w", err)
	}
	due := chunk.DueAt()
	r, err := l.disk.add(record{
		FileHash: chunk.FileHash,
		Seed:     chunk.Seed,
		Size:     chunk.Size,
		Taken:    time.Now().UTC(),
	}, tag)
	if err != nil {
		return nil, err
	}
	return &contract{record: r, challenge: challenge, due: due}, nil
}

// addTaken adds the contracts from a request for room bytes.
func (l *loop) addTaken(room int64, taken []*contract, refused int, err error) {
	var bytes int64
	for _, c := range taken {
		bytes += c.Size
		l.add(c)
	}
	l.update(func(s *Snapshot) { s.Taken += int64(len(taken)) })
	if len(taken) > 0 {
		l.log.Info("contracts taken", "contracts", len(taken), "bytes", bytes, "held", l.held)
	}
	now := time.Now()
	if err != nil {
		l.retryLater(err)
	} else {
		l.succeeded()
	}
	if err == nil && len(taken) == 0 && refused == 0 && len(l.contracts) == 0 {
		l.idle++
	}
	if l.idle == 2 { // a new node needs some seconds to make its first files
		l.idle++
		l.log.Warn("the node has no contract of at most the asked size for this farmer now: its chunks may be larger than that, its inventory empty, or a limit on this farmer or its address reached; the farmer's page on the node says if it is suspended; asking again", "asked", room, "every", l.cfg.TakeEvery)
	}
	switch {
	case Temporary(err):
		l.takeAt = l.Snapshot().RetryAt
	case err != nil, bytes == 0, refused > 0:
		l.delayTake(now)
	}
}

// delayTake delays the next request for contracts. It is called if the node has no
// contracts, or if the last contracts failed, because the next contracts may fail
// too.
func (l *loop) delayTake(now time.Time) {
	l.takeAt = later(l.takeAt, now.Add(l.cfg.TakeEvery))
}

// countRefused counts a contract whose content does not match its hash. The farmer
// does not prove this contract, so the contract expires at the node.
func (l *loop) countRefused(err error) {
	l.log.Error("contract refused", "error", err)
	l.update(func(s *Snapshot) {
		s.setError(err)
		s.Refused++
	})
}

// withGrace returns a context that ends grace after its parent has ended.
func withGrace(parent context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	stop := context.AfterFunc(parent, func() { time.AfterFunc(grace, cancel) })
	return ctx, func() {
		stop()
		cancel()
	}
}
