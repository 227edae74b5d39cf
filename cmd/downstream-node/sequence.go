package main

import (
	"context"
	"errors"
	"fmt"
)

// service is a part of a process that runs until its context ends.
type service struct {
	name string
	run  func(context.Context) error
}

// sequence starts the services in order, and runs them until ctx ends or one
// of them does. Then it ends them one after the other, the last first: list
// receivers before senders, so that whoever still has something to say is
// heard.
func sequence(ctx context.Context, services ...service) error {
	type running struct {
		stop  context.CancelFunc
		ended chan error
	}
	anyEnded := make(chan struct{}, len(services))
	started := make([]running, len(services))
	for i, s := range services {
		// Each has a context of its own, that ends when its turn comes.
		own, stop := context.WithCancel(context.WithoutCancel(ctx))
		r := running{stop: stop, ended: make(chan error, 1)}
		go func() {
			r.ended <- s.run(own)
			anyEnded <- struct{}{}
		}()
		started[i] = r
	}
	select {
	case <-ctx.Done():
	case <-anyEnded:
	}
	var errs []error
	for i := len(services) - 1; i >= 0; i-- {
		started[i].stop()
		if err := <-started[i].ended; err != nil && !errors.Is(err, context.Canceled) {
			errs = append(errs, fmt.Errorf("%s: %w", services[i].name, err))
		}
	}
	return errors.Join(errs...)
}
