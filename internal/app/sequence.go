package app

import (
	"context"
	"errors"
	"fmt"
)

// Service is a part of a process that runs until its context ends.
type Service struct {
	Name string
	Run  func(context.Context) error
}

// Run starts the services in order, and runs them until ctx ends or one of the
// services ends. Then it stops the services one after the other, in the opposite
// order. List receivers before senders, so that a sender can finish its work.
func Run(ctx context.Context, services ...Service) error {
	type running struct {
		stop  context.CancelFunc
		ended chan error
	}
	anyEnded := make(chan struct{}, len(services))
	started := make([]running, len(services))
	for i, s := range services {
		// Each service has its own context, so that the services end in order.
		own, stop := context.WithCancel(context.WithoutCancel(ctx))
		r := running{stop: stop, ended: make(chan error, 1)}
		go func() {
			r.ended <- s.Run(own)
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
			errs = append(errs, fmt.Errorf("%s: %w", services[i].Name, err))
		}
	}
	return errors.Join(errs...)
}
