package farmer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
)

// session holds the values that a farmer needs after it has joined its node.
type session struct {
	token  string
	prover heartbeat.Prover
}

// Address returns the SJCX address that the farmer's token belongs to. If the
// farmer's directory holds no token, it returns the configured SJCX address.
func (f *Farmer) Address() (string, error) {
	saved, err := f.disk.identity()
	if err != nil || saved == nil {
		return f.cfg.Address, err
	}
	return saved.Address, nil
}

// join uses the token in the farmer's directory. If there is no token, join gets a
// new token.
func (f *Farmer) join(ctx context.Context) (session, error) {
	saved, err := f.disk.identity()
	if err != nil {
		return session{}, err
	}
	var registration Registration
	if saved == nil {
		registration, err = f.newToken(ctx)
	} else {
		registration, err = f.savedToken(ctx, saved.Token)
		if errors.Is(err, ErrTokenUnknown) && saved.Node != "" && saved.Node != f.client.base.String() {
			err = fmt.Errorf("%w; the token is from another node, %s", err, strings.TrimSuffix(saved.Node, apiPath))
		}
	}
	if err != nil {
		return session{}, err
	}
	if saved != nil && saved.Node != f.client.base.String() {
		saved.Node = f.client.base.String()
		if err := f.disk.setIdentity(*saved); err != nil {
			return session{}, fmt.Errorf("saving the node's URL: %w", err)
		}
	}
	prover, err := schemes.ParsePublic(registration.Type, registration.Heartbeat)
	if err != nil {
		return session{}, fmt.Errorf("the node's heartbeat: %w", err)
	}
	id := FarmerID(registration.Token)
	f.update(func(s *Snapshot) { s.FarmerID, s.Joined = id, 1 })
	f.log = f.cfg.Logger.With("id", id)
	f.log.Info("joined", "node", f.client.Node(), "type", registration.Type, "returning", saved != nil)
	return session{registration.Token, prover}, nil
}

// newToken gets a token and saves the token before its first use.
func (f *Farmer) newToken(ctx context.Context) (Registration, error) {
	deadline := time.Now().Add(f.cfg.Patience)
	registration, err := f.retry(ctx, deadline, func() (Registration, error) {
		return f.client.NewToken(ctx, f.cfg.Address, f.cfg.Own)
	})
	if err != nil {
		return Registration{}, err
	}
	if err := f.disk.setIdentity(identity{f.cfg.Address, registration.Token, f.client.base.String()}); err != nil {
		return Registration{}, fmt.Errorf("saving the token: %w", err)
	}
	return registration, nil
}

// savedToken joins with a token from the disk. It retries without a deadline
// because there may be contracts to keep alive.
func (f *Farmer) savedToken(ctx context.Context, token string) (Registration, error) {
	registration, err := f.retry(ctx, time.Time{}, func() (Registration, error) {
		return f.client.Heartbeat(ctx, token)
	})
	if deniesToken(err) {
		return Registration{}, fmt.Errorf("%w, which is in %s: %w", ErrTokenUnknown, f.cfg.Dir, err)
	}
	registration.Token = token
	return registration, err
}

// retry repeats the request while its error is temporary. The last attempt starts at
// the deadline. A zero deadline means no deadline.
func (f *Farmer) retry(ctx context.Context, deadline time.Time, request func() (Registration, error)) (Registration, error) {
	for {
		registration, err := request()
		if err == nil {
			f.succeeded()
		}
		if err == nil || !Temporary(err) {
			return registration, err
		}
		wait := f.failed(err)
		if !deadline.IsZero() {
			left := time.Until(deadline)
			if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted || errors.Is(err, ErrNoTLS) || left <= 0 {
				return Registration{}, err
			}
			wait = min(wait, left)
		}
		f.update(func(s *Snapshot) { s.Retries++ })
		f.log.Warn("not joined yet; trying again", "node", f.client.Node(), "wait", wait.Round(time.Millisecond), "error", err)
		select {
		case <-ctx.Done():
			return Registration{}, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// deniesToken reports whether the node itself responded that the token does not
// exist. err must come from a request for the heartbeat. A proxy that cannot reach
// its node can also send 404. In that case the token may still be valid.
func deniesToken(err error) bool {
	response, ok := errors.AsType[*Error](err)
	return ok && response.Status == http.StatusNotFound && response.FromNode
}
