package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/internal/sjcx"
)

// holder is a farmer of the load.
type holder struct {
	client *farmer.Client
	token  string
	prover heartbeat.Prover
	chunks []farmer.Chunk
	proofs []farmer.Proof
}

// join gets tokens for a pass's farmers, each for an address of its own.
func join(p *program, url string, pass pass) []*holder {
	client, err := farmer.NewClient(url, farmer.ClientConfig{})
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(client.Close)
	holders := make([]*holder, pass.farmers)
	for i := range holders {
		key, err := secp256k1.GeneratePrivateKey()
		if err != nil {
			p.Fatal(err)
		}
		told, err := client.NewToken(p.ctx, sjcx.Address(key.PubKey(), true), nil)
		if err != nil {
			p.Fatal(err)
		}
		h := &holder{client: client, token: told.Token}
		if h.prover, err = schemes.ParsePublic(told.Type, told.Heartbeat); err != nil {
			p.Fatal(err)
		}
		holders[i] = h
	}
	return holders
}

// together runs work for all holders at once and says how long that took.
func together(p *program, holders []*holder, work func(*holder) error) time.Duration {
	errs := make([]error, len(holders))
	var working sync.WaitGroup
	start := time.Now()
	for i, h := range holders {
		working.Go(func() { errs[i] = work(h) })
	}
	working.Wait()
	took := time.Since(start)
	for _, err := range errs {
		if err != nil {
			p.Fatal(err)
		}
	}
	return took
}

// take makes one request for contracts.
func (h *holder) take(p *program, size int64) error {
	for chunk, err := range h.client.Chunks(p.ctx, h.token, size) {
		if err != nil {
			return err
		}
		h.chunks = append(h.chunks, chunk)
	}
	return nil
}

// measureHandOut takes contracts one by one, all farmers at once.
func measureHandOut(p *program, url string, pass pass) (figure, []*holder) {
	p.Log("measuring hand-outs")
	holders := join(p, url, pass)
	took := together(p, holders, func(h *holder) error {
		for range pass.proofs / pass.farmers {
			if err := h.take(p, handOutSize); err != nil {
				return err
			}
		}
		return h.holds(pass)
	})
	return rate("hand-outs, one contract a request", "/s", float64(pass.proofs), took, 92), holders
}

// takeAll takes a pass's contracts.
func takeAll(p *program, url string, pass pass) []*holder {
	holders := join(p, url, pass)
	together(p, holders, func(h *holder) error {
		for want := pass.proofs / pass.farmers; len(h.chunks) < want; {
			before := len(h.chunks)
			if err := h.take(p, int64(want-before)*answerSize); err != nil {
				return err
			}
			if len(h.chunks) == before {
				break
			}
		}
		return h.holds(pass)
	})
	return holders
}

func (h *holder) holds(pass pass) error {
	if want := pass.proofs / pass.farmers; len(h.chunks) != want {
		return fmt.Errorf("a farmer has %d contracts, not %d", len(h.chunks), want)
	}
	return nil
}

// prove makes the proofs of all contracts.
func prove(p *program, holders []*holder) {
	together(p, holders, func(h *holder) error {
		for _, chunk := range h.chunks {
			tag, err := h.prover.ParseTag(chunk.Tag)
			if err != nil {
				return err
			}
			challenge, err := h.prover.ParseChallenge(chunk.Challenge)
			if err != nil {
				return err
			}
			proof, err := h.prover.Prove(p.ctx, filestream.New(chunk.Seed, chunk.Size), chunk.Size, tag, challenge)
			if err != nil {
				return err
			}
			wire, err := h.prover.ProofJSON(proof)
			if err != nil {
				return err
			}
			h.proofs = append(h.proofs, farmer.Proof{FileHash: chunk.FileHash, Proof: wire})
		}
		return nil
	})
}

// measureAnswers posts the proofs, all farmers at once. Each must be accepted.
func measureAnswers(p *program, holders []*holder, pass pass) figure {
	took := together(p, holders, func(h *holder) error {
		for rest := h.proofs; len(rest) > 0; {
			batch := rest[:min(pass.batch, len(rest))]
			rest = rest[len(batch):]
			if err := h.answer(p, batch); err != nil {
				return err
			}
		}
		return nil
	})
	return rate(pass.name, "/s", float64(pass.proofs), took, pass.old)
}

func (h *holder) answer(p *program, batch []farmer.Proof) error {
	if len(batch) == 1 {
		return h.client.Answer(p.ctx, h.token, batch[0])
	}
	report, err := h.client.Answers(p.ctx, h.token, batch)
	if err != nil {
		return err
	}
	for _, verdict := range report {
		if !verdict.OK() {
			return fmt.Errorf("file %s: %s", verdict.FileHash, verdict.Error)
		}
	}
	if len(report) != len(batch) {
		return fmt.Errorf("a report of %d verdicts on %d proofs", len(report), len(batch))
	}
	return nil
}
