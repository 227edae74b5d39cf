package farmer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
)

// member is a farmer that its node knows.
type member struct {
	token  string
	prover heartbeat.Prover
}

// Address is the one that the farmer's token is for: of its directory, where
// that holds a token, else the one it was made with.
func (f *Farmer) Address() (string, error) {
	known, err := f.shelf.membership()
	if err != nil || known == nil {
		return f.cfg.Address, err
	}
	return known.Address, nil
}

// join takes up the token in the farmer's directory, or gets one.
func (f *Farmer) join(ctx context.Context) (member, error) {
	known, err := f.shelf.membership()
	if err != nil {
		return member{}, err
	}
	var told Registration
	if known == nil {
		told, err = f.newcomer(ctx)
	} else {
		told, err = f.returning(ctx, known.Token)
	}
	if err != nil {
		return member{}, err
	}
	prover, err := schemes.ParsePublic(told.Type, told.Heartbeat)
	if err != nil {
		return member{}, fmt.Errorf("the node's heartbeat: %w", err)
	}
	id := FarmerID(told.Token)
	f.tally.count(func(s *Snapshot) { s.FarmerID, s.Joined = id, 1 })
	f.log = f.cfg.Logger.With("id", id)
	f.log.Info("joined", "node", f.client.Node(), "type", told.Type, "returning", known != nil)
	return member{told.Token, prover}, nil
}

// newcomer gets a token and writes it down before it is used.
func (f *Farmer) newcomer(ctx context.Context) (Registration, error) {
	giveUp := time.Now().Add(f.cfg.Patience)
	told, err := f.insist(ctx, giveUp, func() (Registration, error) {
		return f.client.NewToken(ctx, f.cfg.Address, f.cfg.Own)
	})
	if err != nil {
		return Registration{}, err
	}
	if err := f.shelf.setMembership(membership{f.cfg.Address, told.Token}); err != nil {
		return Registration{}, fmt.Errorf("writing down the token: %w", err)
	}
	return told, nil
}

func (f *Farmer) returning(ctx context.Context, token string) (Registration, error) {
	// No giving up: there may be contracts to keep alive.
	told, err := f.insist(ctx, time.Time{}, func() (Registration, error) {
		return f.client.Heartbeat(ctx, token)
	})
	if deniesToken(err) {
		return Registration{}, fmt.Errorf("%w, which is in %s: %w", ErrTokenUnknown, f.cfg.Dir, err)
	}
	told.Token = token
	return told, err
}

// insist repeats a request that fails for reasons that may pass, until giveUp
// where that is not zero.
func (f *Farmer) insist(ctx context.Context, giveUp time.Time, request func() (Registration, error)) (Registration, error) {
	for {
		told, err := request()
		if err == nil || !Temporary(err) {
			return told, err
		}
		f.tally.failure(err)
		wait := f.waitAfter(err)
		if !giveUp.IsZero() && time.Now().Add(wait).After(giveUp) {
			return Registration{}, err
		}
		f.tally.count(func(s *Snapshot) { s.Retries++ })
		f.log.Warn("not joined yet, trying again", "node", f.client.Node(), "wait", wait, "error", err)
		select {
		case <-ctx.Done():
			return Registration{}, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// deniesToken says whether err, of a request for the heartbeat, is the node's
// own word that there is no such token. A proxy without a node behind it says
// 404 too, and then the token is as good as ever.
func deniesToken(err error) bool {
	answer, ok := errors.AsType[*Error](err)
	return ok && answer.Status == http.StatusNotFound && answer.FromNode
}
