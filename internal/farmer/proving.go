package farmer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
)

// store starts writing the contract's file.
func (k *keeper) store(ctx context.Context, c *contract) {
	c.busy = true
	k.proving++
	k.start(func() func() {
		err := k.shelf.writeFile(ctx, c.record)
		return func() {
			k.proving--
			c.busy = false
			switch {
			case err == nil:
				c.stored = true
			case c.gone:
			case errors.Is(err, errContent):
				k.refused(err)
				k.drop(c)
				k.holdOff(time.Now())
			default:
				k.failed([]*contract{c}, fmt.Errorf("writing file %s: %w", c.FileHash, err))
			}
		}
	})
}

// prove starts making the proof for the contract's challenge.
func (k *keeper) prove(ctx context.Context, c *contract) {
	c.busy = true
	k.proving++
	challenge, due := c.challenge, c.due
	k.start(func() func() {
		proof, err := k.shelf.prove(ctx, k.prover, c.record, challenge, due)
		return func() {
			k.proving--
			c.busy = false
			if c.gone {
				return
			}
			if err != nil {
				k.failed([]*contract{c}, fmt.Errorf("proving file %s: %w", c.FileHash, err))
				return
			}
			c.proof, c.at = proof, time.Now()
		}
	})
}

// prove answers the challenge from what is on the disk. It gives up when the
// challenge is due for certain.
func (s *shelf) prove(ctx context.Context, p heartbeat.Prover, r record, challenge []byte, due time.Time) (json.RawMessage, error) {
	ctx, cancel := context.WithDeadline(ctx, due.Add(rounding))
	defer cancel()
	file, err := s.openFile(r)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	tag, err := s.tag(r)
	if err != nil {
		return nil, err
	}
	proof, err := p.Prove(ctx, file, r.Size, tag, challenge)
	if err != nil {
		return nil, err
	}
	return p.ProofJSON(proof)
}
