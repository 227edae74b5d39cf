package load

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/internal/farmer"
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
