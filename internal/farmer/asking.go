package farmer

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	// askBatch is how many contracts one request for challenges names at most.
	askBatch = 500
	// earlyPause is the wait after a challenge was asked for too early. The
	// rounding of due makes that up to a second.
	earlyPause = 250 * time.Millisecond
)

// askFor starts asking for the contracts' current challenges.
func (k *keeper) askFor(ctx context.Context, contracts []*contract) {
	for batch := range slices.Chunk(contracts, k.askBatch) {
		if k.requests >= k.cfg.Requests {
			return
		}
		k.requests++
		hashes := make([]string, len(batch))
		for i, c := range batch {
			c.busy = true
			hashes[i] = c.FileHash
		}
		k.start(func() func() {
			challenges, err := k.client.Challenges(ctx, k.token, hashes)
			err = k.explain(ctx, err)
			return func() {
				k.requests--
				k.asked(batch, challenges, err)
			}
		})
	}
}

func (k *keeper) asked(batch []*contract, challenges []Challenge, err error) {
	told := make(map[string]Challenge, len(challenges))
	for _, challenge := range challenges {
		told[challenge.FileHash] = challenge
	}
	var missing []*contract
	for _, c := range batch {
		c.busy = false
		if c.gone || err != nil {
			continue
		}
		challenge, ok := told[c.FileHash]
		if !ok {
			missing = append(missing, c)
			continue
		}
		k.hear(c, challenge)
	}
	if err != nil {
		k.askBatch = smaller(k.askBatch, len(batch), err)
		k.failed(batch, err)
	}
	if len(missing) > 0 {
		k.failed(missing, fmt.Errorf("challenge: the node's answer leaves out %d of %d contracts", len(missing), len(batch)))
	}
}

// hear takes in what the node says of one contract's challenge.
func (k *keeper) hear(c *contract, said Challenge) {
	now := time.Now()
	switch {
	case said.Error != "":
		k.log.Warn("contract ended by the node", "file", c.FileHash, "reason", said.Error)
		k.tally.failure(fmt.Errorf("challenge: file %s: %s", c.FileHash, said.Error))
		k.drop(c)
		return
	case said.Status == NoMoreChallenges:
		if c.challenge == nil {
			c.due = now // it was due before, but when is not known
		}
		c.finished = true
		return
	}
	challenge, err := k.prover.ParseChallenge(said.Challenge)
	if err != nil {
		k.failed([]*contract{c}, fmt.Errorf("challenge: file %s: %w", c.FileHash, err))
		return
	}
	c.told(challenge, said.DueAt(), said.Answered)
	c.at = now
	if c.answered && !now.Before(c.due) {
		c.at = now.Add(earlyPause)
		k.tally.count(func(s *Snapshot) { s.Early++ })
	}
}
