package app

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
)

// diary records the order in which services end.
type diary struct {
	mu    sync.Mutex
	ended []string
}

func (d *diary) service(name string, result error) Service {
	return Service{name, func(ctx context.Context) error {
		<-ctx.Done()
		d.mu.Lock()
		defer d.mu.Unlock()
		d.ended = append(d.ended, name)
		return result
	}}
}

func TestRunEndsTheLastFirst(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var d diary
	if err := Run(ctx, d.service("receiver", nil), d.service("router", context.Canceled), d.service("sender", nil)); err != nil {
		t.Fatalf("Run: %v", err)
	}
	if want := []string{"sender", "router", "receiver"}; !slices.Equal(d.ended, want) {
		t.Errorf("ended in the order %v, want %v", d.ended, want)
	}
}

func TestRunEndsAllWhenOneEnds(t *testing.T) {
	t.Parallel()
	broken := errors.New("port taken")
	var d diary
	err := Run(t.Context(), d.service("first", nil), Service{"listener", func(context.Context) error { return broken }})
	if !errors.Is(err, broken) || err.Error() != "listener: port taken" {
		t.Errorf("error %q, want the listener's", err)
	}
	if !slices.Equal(d.ended, []string{"first"}) {
		t.Errorf("ended: %v, want the other service", d.ended)
	}
}
