package store

import (
	"context"
	"math/rand/v2"
	"time"

	"gorm.io/gorm"
)

// attempts bounds how often a transaction is run: enough for a queue of
// deadlocks to clear, few enough for a farmer's patience.
const attempts = 6

// transaction runs fn in a transaction, and again where the database ended it
// for a reason that passes: a deadlock, a lock not had in time, a connection
// lost before the commit. Once the commit was sent, nobody but the database
// knows, and so it is not sent twice.
func (s *Store) transaction(ctx context.Context, fn func(tx *gorm.DB) error) error {
	for attempt := 1; ; attempt++ {
		sent, err := s.try(ctx, fn)
		switch {
		case err == nil:
			return nil
		case sent && !isTransient(err):
			return unavailable{err}
		case attempt == attempts, !isTransient(err) && !isConnectionLost(err):
			return err
		}
		if err := sleep(ctx, backoff(attempt)); err != nil {
			return err
		}
	}
}

// try runs fn once. sent says whether the commit was.
func (s *Store) try(ctx context.Context, fn func(tx *gorm.DB) error) (sent bool, err error) {
	tx := s.write.WithContext(ctx).Begin()
	if tx.Error != nil {
		return false, tx.Error
	}
	done := false
	defer func() {
		if !done { // fn failed, or panicked
			tx.Rollback()
		}
	}()
	if err := fn(tx); err != nil {
		return false, err
	}
	done = true
	if err := tx.Commit().Error; err != nil {
		if s.opt.Driver == SQLite {
			// A commit that failed may leave its transaction open, on the one
			// connection that writes.
			s.write.WithContext(context.WithoutCancel(ctx)).Exec("ROLLBACK")
		}
		return true, err
	}
	return true, nil
}

// backoff is a random time, longer with each attempt: those who collided shall
// not collide again.
func backoff(attempt int) time.Duration {
	return time.Millisecond + rand.N(5*time.Millisecond<<attempt)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
