package farmer

import (
	"bytes"
	"encoding/json"
	"time"
)

// contract is one contract in the keeper's hands.
type contract struct {
	record

	stored    bool            // the file is on the disk
	challenge []byte          // binary form; nil until the node has told it
	due       time.Time       // of the challenge, up to a second early
	answered  bool            // the node has accepted a proof for it
	finished  bool            // there are no more challenges
	proof     json.RawMessage // for the challenge, nil until it is made

	at   time.Time // no step before this moment
	busy bool      // a step is under way
	gone bool      // dropped while a step was under way
}

// step is what a contract needs done.
type step int

const (
	rest   step = iota // nothing before the moment that comes with it
	ask                // ask the node for the current challenge
	store              // write the file
	prove              // make the proof
	answer             // send the proof
	drop               // forget it
	steps              // how many there are
)

// rounding is what a due that is rounded down can be short of.
const rounding = time.Second

// next is the life of a contract: what it needs next, and from when on. Until
// that moment, it needs nothing.
func (c *contract) next(now time.Time) (step, time.Time) {
	var s step
	from := c.at
	switch {
	case c.busy:
		return rest, now.Add(maxDue) // its outcome wakes the keeper
	case c.finished:
		// The interval and the due are both rounded down.
		s, from = drop, c.due.Add(c.Interval+2*rounding)
	case c.challenge == nil:
		s = ask
	case c.answered:
		s, from = ask, later(c.at, c.due)
	case !now.Before(c.due.Add(rounding)):
		// It has probably expired, but that is the node's to say.
		s = ask
	case !c.stored:
		s = store
	case c.proof == nil:
		s = prove
	default:
		s = answer
	}
	if now.Before(from) {
		return rest, from
	}
	return s, from
}

// told takes over what the node says of the current challenge. A proof that
// is already made stays, if it is for that challenge.
func (c *contract) told(challenge []byte, due time.Time, answered bool) {
	if !bytes.Equal(c.challenge, challenge) {
		c.proof = nil
	}
	c.challenge, c.due, c.answered = challenge, due, answered
}

// accepted records that the node has accepted the proof.
func (c *contract) accepted() {
	c.answered, c.proof = true, nil
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
