package load

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
	*Load
	replicas  []*farmer.Client
	at        int // the replica that it calls
	token, id string
	prover    heartbeat.Prover
	contracts []*contract
	issued    int // challenges seen, to choose which to answer wrong
}

func (l *Load) join(ctx context.Context, number int) (*client, error) {
	c := &client{Load: l, at: number % len(l.opt.URLs)}
	local, err := netip.ParseAddr(localAddress(number))
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
	// breath is the pause between two rounds, so that the load leaves the
	// machine to the node.
	breath = 20 * time.Millisecond
	// retry is the pause after a failed request: a tenth of a farmer's in the
	// field, to be there while the fault lasts.
	retry = 300 * time.Millisecond
)

func (c *client) run(ctx context.Context) {
	for ctx.Err() == nil {
		pause := breath
		for _, step := range []func() error{c.take, c.ask, c.answer} {
			if step() != nil {
				pause = retry
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// count notes how a request ended, and goes on to another replica where it was
// cut off.
func (c *client) count(err error) error {
	c.counter.request(err)
	if err != nil && c.cutOff(err) {
		c.at = (c.at + 1) % len(c.replicas)
	}
	return err
}

// settle answers what is not answered until it has a verdict.
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
			return fmt.Errorf("%d answers not decided after %v: %v", open, settlePatience, err)
		case err != nil:
			time.Sleep(retry)
		}
	}
}

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

// cutOff says whether a request that failed was not answered.
func (c *client) cutOff(err error) bool {
	_, answered := errors.AsType[*farmer.Error](err)
	return !answered
}

// take asks for contracts while there is room for more. Only a few at a time:
// hand-outs are part of the load.
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
		c.opt.Ledger.Took(c.id, chunk.FileHash)
		tag, err := c.prover.ParseTag(chunk.Tag)
		if err != nil {
			c.counter.strange("file %s: %v", chunk.FileHash, err)
			continue
		}
		held := &contract{file: chunk.FileHash, seed: chunk.Seed, size: chunk.Size, tag: tag}
		held.told(chunk.Issued, false)
		c.contracts = append(c.contracts, held)
	}
	return c.count(failure)
}

// ask asks for the challenges that come after those that are answered and due.
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
			c.counter.strange("challenge for file %s, which was not asked for", challenge.FileHash)
		case challenge.Error == node.ContractExpired.Message():
			c.drop(held)
		case challenge.Error != "":
			c.counter.strange("challenge for file %s: %s", challenge.FileHash, challenge.Error)
		case challenge.Status == farmer.NoMoreChallenges:
			c.contracts = slices.DeleteFunc(c.contracts, func(other *contract) bool { return other == held })
		default:
			held.told(challenge.Issued, challenge.Answered)
		}
	}
	return c.count(err)
}

// drop ends a contract that the node says has expired.
func (c *client) drop(held *contract) {
	c.counter.expired()
	c.contracts = slices.DeleteFunc(c.contracts, func(other *contract) bool { return other == held })
}

// open says whether the node owes a verdict on the contract.
func (c *client) open(held *contract) bool { return !held.answered || held.again }

// answer sends what is to be answered, a batch at most.
func (c *client) answer() error {
	batch := map[string]*contract{}
	var proofs []farmer.Proof
	for _, held := range c.contracts {
		if !c.open(held) || len(proofs) == c.opt.Batch {
			continue
		}
		if held.answer == nil {
			wrong := !held.misled && c.opt.WrongEach > 0 && c.issued%c.opt.WrongEach == 0
			c.issued++
			if err := held.prove(c.prover, wrong); err != nil {
				c.counter.strange("prove file %s: %v", held.file, err)
				continue
			}
		}
		batch[held.file] = held
		proofs = append(proofs, farmer.Proof{FileHash: held.file, Proof: held.answer})
	}
	if len(proofs) == 0 {
		return nil
	}
	sent := time.Now()
	report, err := c.replica().Answers(context.Background(), c.token, proofs)
	if err == nil && len(report) != len(proofs) {
		c.counter.strange("a report of %d verdicts on %d proofs", len(report), len(proofs))
	}
	for _, verdict := range report {
		if held := batch[verdict.FileHash]; held != nil {
			c.judged(held, verdict, sent)
		}
	}
	return c.count(err)
}

// judged takes in a verdict on what was sent at that time.
func (c *client) judged(held *contract, verdict farmer.Verdict, sent time.Time) {
	c.counter.verdict()
	switch {
	case verdict.OK() && !held.wrong:
		c.opt.Ledger.Accepted(c.id, held.file, string(held.challenge))
		held.again = !held.answered && c.opt.AgainEach > 0 && c.issued%c.opt.AgainEach == 0
		held.answered = true
	case verdict.Error == node.Invalid.Message() && held.wrong:
		c.opt.Ledger.Refused(c.id, held.file, string(held.challenge), string(held.answer))
		held.answer, held.misled = nil, true
	case verdict.Error == node.ContractExpired.Message() && !sent.Before(held.due):
		c.drop(held)
	default:
		c.counter.strange("file %s, a wrong proof: %v, due in %v: the node says %q%q",
			held.file, held.wrong, time.Until(held.due), verdict.Status, verdict.Error)
		c.drop(held)
	}
}
