package farmer

import (
	"context"
	"fmt"
	"path/filepath"

	"golang.org/x/sync/errgroup"
)

// Crew is several farmers in one process, each with a token of its own.
type Crew []*Farmer

// NewCrew makes number farmers that are alike but for their directories,
// which are in cfg.Dir and named from 1 on.
func NewCrew(cfg Config, number int) (Crew, error) {
	if number < 1 {
		return nil, fmt.Errorf("farmer: a crew of %d", number)
	}
	crew := make(Crew, number)
	for i := range crew {
		one := cfg
		one.Dir = filepath.Join(cfg.Dir, fmt.Sprintf("farmer-%d", i+1))
		var err error
		if crew[i], err = New(one); err != nil {
			return nil, err
		}
	}
	return crew, nil
}

// Run runs all of them until ctx ends or one fails, and gives that one's
// error.
func (c Crew) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, f := range c {
		group.Go(func() error { return f.Run(ctx) })
	}
	return group.Wait()
}

// Snapshot is all of them together.
func (c Crew) Snapshot() Snapshot {
	var sum Snapshot
	for _, f := range c {
		sum = sum.Plus(f.Snapshot())
	}
	return sum
}
