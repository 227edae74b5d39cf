//go:build faults || clusters

package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/sjcx"
)

// client is one farmer of a load.
type client struct {
	*load
	replicas  []*farmer.Client
	at        int // index of the replica that the farmer uses
	token, id string
	prover    heartbeat.Prover
	contracts []*contract
	issued    int // number of challenges; it determines which challenges get a wrong proof
}

func (l *load) join(ctx context.Context, number int) (*client, error) {
	c := &client{load: l, at: number % len(l.opt.URLs)}
	// Each farmer has its own IP address, because the node limits the tokens of
	// each IP address.
	local, err := netip.ParseAddr(fmt.Sprintf("127.0.%d.%d", 1+number/200, 1+number%200))
	if err != nil {
		return nil, err
	}
	for _, url := range l.opt.URLs {
		replica, err := farmer.NewClient(url, farmer.ClientConfig{LocalAddr: local, Timeout: l.opt.Timeout})
		if err != nil {
			return nil, err
		}
		c.replicas = append(c.replicas, replica)
	}
	key, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		return nil, err
	}
	told, err := c.replica().NewToken(ctx, sjcx.Address(key.PubKey(), true), nil)
	if err != nil {
		return nil, err
	}
	c.token, c.id = told.Token, farmer.FarmerID(told.Token)
	c.prover, err = schemes.ParsePublic(told.Type, told.Heartbeat)
	return c, err
}

func (c *client) replica() *farmer.Client { return c.replicas[c.at] }

func (c *client) close() {
	for _, replica := range c.replicas {
		replica.Close()
	}
}

const (
	// roundPause is the pause between two rounds. It leaves most of the processor
	// to the node.
	roundPause = 20 * time.Millisecond
	// retryPause is the pause after a failed request. It is a tenth of a real
	// farmer's pause, so that requests arrive during the fault.
	retryPause = 300 * time.Millisecond
)

func (c *client) run(ctx context.Context) {
	for ctx.Err() == nil {
		pause := roundPause
		for _, step := range []func() error{c.take, c.ask, c.answer} {
			if step() != nil {
				pause = retryPause
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// done counts a request. If the request got no response, done changes to the next
// replica.
func (c *client) done(err error) error {
	c.countRequest(err)
	if _, responded := errors.AsType[*farmer.Error](err); err != nil && !responded {
		c.at = (c.at + 1) % len(c.replicas)
	}
	return err
}

// settle sends proofs until every contract has its verdict.
func (c *client) settle(until time.Time) error {
	for {
		err := c.answer()
		open := 0
		for _, held := range c.contracts {
			if c.open(held) {
				open++
			}
		}
		switch {
		case open == 0:
			return nil
		case time.Now().After(until):
			return fmt.Errorf("%d proofs without a verdict after %v: %v", open, settlePatience, err)
		case err != nil:
			time.Sleep(retryPause)
		}
	}
}

// contract is a contract of a farmer of the load.
type contract struct {
	file, seed string
	size       int64
	tag        []byte
	challenge  json.RawMessage
	due        time.Time // up to a second earlier than the node's due
	answered   bool
	proof      json.RawMessage // nil until it is made
	wrong      bool            // the proof is wrong
	refused    bool            // a wrong proof for this challenge was refused
	again      bool            // the accepted proof will be sent once more
}

// prove makes the proof from the file. A wrong proof is made from another file.
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
	c.proof, err = p.ProofJSON(proof)
	return err
}

// update sets the current challenge. answered is true if the node has accepted a
// proof for this challenge.
func (c *contract) update(issued farmer.Issued, answered bool) {
	if string(issued.Challenge) != string(c.challenge) {
		c.proof, c.refused, c.again = nil, false, false
	}
	c.challenge, c.due, c.answered = issued.Challenge, issued.DueAt(), answered
}

// take requests contracts until the farmer has enough contracts. It requests only a
// few at a time, because hand-outs are part of the load.
func (c *client) take() error {
	const atOnce = 5
	room := min(c.opt.Contracts-len(c.contracts), atOnce)
	if room <= 0 {
		return nil
	}
	var failure error
	for chunk, err := range c.replica().Chunks(context.Background(), c.token, int64(room)*c.opt.Size) {
		if err != nil {
			failure = err
			break
		}
		c.opt.Ledger.Took(chunk.FileHash)
		tag, err := c.prover.ParseTag(chunk.Tag)
		if err != nil {
			c.strange("file %s: %v", chunk.FileHash, err)
			continue
		}
		held := &contract{file: chunk.FileHash, seed: chunk.Seed, size: chunk.Size, tag: tag}
		held.update(chunk.Issued, false)
		c.contracts = append(c.contracts, held)
	}
	return c.done(failure)
}

// ask requests the next challenges of the contracts that are answered and due.
func (c *client) ask() error {
	now := time.Now()
	due := map[string]*contract{}
	var files []string
	for _, held := range c.contracts {
		if held.answered && !held.again && !now.Before(held.due) && len(files) < c.opt.Batch {
			due[held.file] = held
			files = append(files, held.file)
		}
	}
	if len(files) == 0 {
		return nil
	}
	challenges, err := c.replica().Challenges(context.Background(), c.token, files)
	for _, challenge := range challenges {
		held := due[challenge.FileHash]
		switch {
		case held == nil:
			c.strange("challenge for file %s, which was not requested", challenge.FileHash)
		case challenge.Error == node.ContractExpired.Message():
			c.drop(held)
		case challenge.Error != "":
			c.strange("challenge for file %s: %s", challenge.FileHash, challenge.Error)
		case challenge.Status == farmer.NoMoreChallenges:
			c.remove(held)
		default:
			held.update(challenge.Issued, challenge.Answered)
		}
	}
	return c.done(err)
}

// drop removes a contract that has expired.
func (c *client) drop(held *contract) {
	c.countExpired()
	c.remove(held)
}

func (c *client) remove(held *contract) {
	c.contracts = slices.DeleteFunc(c.contracts, func(other *contract) bool { return other == held })
}

// open reports whether the contract still needs a verdict.
func (c *client) open(held *contract) bool { return !held.answered || held.again }

// answer sends the proofs of open contracts, at most one batch.
func (c *client) answer() error {
	batch := map[string]*contract{}
	var proofs []farmer.Proof
	for _, held := range c.contracts {
		if !c.open(held) || len(proofs) == c.opt.Batch {
			continue
		}
		if held.proof == nil {
			wrong := !held.refused && c.opt.WrongEach > 0 && c.issued%c.opt.WrongEach == 0
			c.issued++
			if err := held.prove(c.prover, wrong); err != nil {
				c.strange("prove file %s: %v", held.file, err)
				continue
			}
		}
		batch[held.file] = held
		proofs = append(proofs, farmer.Proof{FileHash: held.file, Proof: held.proof})
	}
	if len(proofs) == 0 {
		return nil
	}
	sent := time.Now()
	report, err := c.replica().Answers(context.Background(), c.token, proofs)
	if err == nil && len(report) != len(proofs) {
		c.strange("a report of %d verdicts for %d proofs", len(report), len(proofs))
	}
	for _, verdict := range report {
		if held := batch[verdict.FileHash]; held != nil {
			c.judged(held, verdict, sent)
		}
	}
	return c.done(err)
}

// judged handles the verdict on a proof that was sent at the time sent.
func (c *client) judged(held *contract, verdict farmer.Verdict, sent time.Time) {
	c.countVerdict()
	switch {
	case verdict.OK() && !held.wrong:
		c.opt.Ledger.Accepted(c.id, held.file, string(held.challenge))
		held.again = !held.answered && c.opt.AgainEach > 0 && c.issued%c.opt.AgainEach == 0
		held.answered = true
	case verdict.Error == node.Invalid.Message() && held.wrong:
		c.opt.Ledger.Refused(c.id, held.file, string(held.challenge), string(held.proof))
		held.proof, held.refused = nil, true
	case verdict.Error == node.ContractExpired.Message() && !sent.Before(held.due):
		c.drop(held)
	default:
		c.strange("file %s, a wrong proof: %v, due in %v: the node says %q%q",
			held.file, held.wrong, time.Until(held.due), verdict.Status, verdict.Error)
		c.drop(held)
	}
}
