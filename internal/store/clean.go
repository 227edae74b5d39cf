package store

import (
	"context"
	"time"
)

// Cleaned counts what Clean did.
type Cleaned struct {
	Expired      int64 // contracts marked over
	Contracts    int64 // contracts deleted
	Tags         int64 // tags of files that stay
	Files        int64 // files that nothing referred to
	Reservations int64
	IPs          int64
}

// cleanRows is how many rows one step of Clean takes on.
const cleanRows = 1000

// Clean does all of the sweeper's work at once.
func (s *Store) Clean(ctx context.Context, keep time.Duration, now time.Time) (done Cleaned, err error) {
	defer wrap(&err, "clean")
	if done, err = s.CleanContracts(ctx, keep, now); err != nil {
		return done, err
	}
	done.IPs, err = s.PruneIPs(ctx)
	return done, err
}

// CleanContracts marks contracts over that expired before now, deletes those
// that expired keep ago, and then what is left behind. What it costs is in
// proportion to what there is to do.
func (s *Store) CleanContracts(ctx context.Context, keep time.Duration, now time.Time) (done Cleaned, err error) {
	defer wrap(&err, "clean contracts")
	for _, step := range []struct {
		count *int64
		run   func() (int64, error)
	}{
		{&done.Expired, func() (int64, error) { return s.Expire(ctx, now, cleanRows) }},
		{&done.Contracts, func() (int64, error) { return s.DeleteExpired(ctx, now.Add(-keep), cleanRows) }},
		{&done.Tags, func() (int64, error) { return s.DeleteTags(ctx, cleanRows) }},
		{&done.Files, func() (int64, error) { return s.DeleteOrphanFiles(ctx, cleanRows) }},
	} {
		for n := int64(cleanRows); n == cleanRows; {
			if n, err = step.run(); err != nil {
				return done, err
			}
			*step.count += n
		}
	}
	if err := s.forgetDepartures(ctx); err != nil {
		return done, err
	}
	done.Reservations, err = s.DropStaleReservations(ctx, now)
	return done, err
}
