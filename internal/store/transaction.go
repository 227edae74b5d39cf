package store

import (
	"context"
	"database/sql/driver"
	"errors"
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
	return s.repeat(ctx, s.begin, fn)
}

// pipelined is transaction for a fn that does not ask how many rows a statement
// changed, but by execCounting, see pipeline.
func (s *Store) pipelined(ctx context.Context, fn func(tx *gorm.DB) error) error {
	return s.repeat(ctx, s.beginPipeline, fn)
}

func (s *Store) begin(ctx context.Context) *gorm.DB { return s.write.WithContext(ctx).Begin() }

func (s *Store) repeat(ctx context.Context, begin func(context.Context) *gorm.DB, fn func(tx *gorm.DB) error) error {
	for attempt := 1; ; attempt++ {
		sent, err := s.try(ctx, begin(ctx), fn)
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

// try runs fn once, in tx. sent says whether the commit was.
func (s *Store) try(ctx context.Context, tx *gorm.DB, fn func(tx *gorm.DB) error) (sent bool, err error) {
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
		// A connection that the driver calls bad has done nothing.
		return !errors.Is(err, driver.ErrBadConn), err
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
