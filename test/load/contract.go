package load

import (
	"context"
	"encoding/json"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
	"github.com/driveshare/downstream-node/internal/farmer"
)

// contract is one that a farmer of the load holds.
type contract struct {
	file, seed string
	size       int64
	tag        []byte
	challenge  json.RawMessage
	due        time.Time // up to a second before the node's own
	answered   bool
	answer     json.RawMessage // sent or to be sent; nil until it is made
	wrong      bool            // answer is a wrong proof
	misled     bool            // a wrong proof to this challenge was refused
	again      bool            // the accepted answer is to be sent once more
}

// prove makes the answer: from the file or, for a wrong one, from another.
func (c *contract) prove(p heartbeat.Prover, wrong bool) error {
	challenge, err := p.ParseChallenge(c.challenge)
	if err != nil {
		return err
	}
	seed := c.seed
	if wrong {
		seed += " of another file"
	}
	proof, err := p.Prove(context.Background(), filestream.New(seed, c.size), c.size, c.tag, challenge)
	if err != nil {
		return err
	}
	c.wrong = wrong
	c.answer, err = p.ProofJSON(proof)
	return err
}

// told takes over the node's word on the current challenge.
func (c *contract) told(issued farmer.Issued, answered bool) {
	if string(issued.Challenge) != string(c.challenge) {
		c.answer, c.misled, c.again = nil, false, false
	}
	c.challenge, c.due, c.answered = issued.Challenge, issued.DueAt(), answered
}
