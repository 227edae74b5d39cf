package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// replica is a copy of the database that follows it, a little behind. It is in use while
// WatchReplica runs and finds that it is not too far behind.
type replica struct {
	database
	maxLag time.Duration
	log    *slog.Logger

	mu     sync.Mutex
	used   bool
	told   bool          // a message says whether it is in use
	lag    time.Duration // negative if it is unknown
	failed time.Time     // the last failed read
}

const (
	// replicaEach is how often WatchReplica measures the lag. Processes write their rows as often.
	replicaEach = 2 * time.Second
	// replicaTimeout limits one measurement.
	replicaTimeout = 5 * time.Second
	// replicaRest is how long a replica is not used after a failed read.
	replicaRest = 30 * time.Second
)

// openReplica opens the server of Config.ReadDSN, without waiting for it. The name must have
// one server: of several servers, openMySQL refuses those that are read-only.
func openReplica(cfg Config, log slowLog) (*replica, error) {
	cfg.DSN, cfg.Addrs = cfg.ReadDSN, nil
	_, addrs, err := parseDSN(string(cfg.DSN))
	if err == nil && len(addrs) > 1 {
		err = fmt.Errorf("it names %d servers; name one of them", len(addrs))
	}
	if err != nil {
		return nil, fmt.Errorf("database.readDSN: %w", err)
	}
	db, err := openMySQL(cfg, log)
	if err != nil {
		return nil, fmt.Errorf("database.readDSN: %w", err)
	}
	return &replica{database: db, maxLag: cfg.MaxLag, log: log.to, lag: -1}, nil
}

// HasReplica reports whether the configuration names a replica.
func (s *Store) HasReplica() bool { return s.replica != nil }

// WatchReplica measures the replica's lag until ctx ends.
func (s *Store) WatchReplica(ctx context.Context) error {
	tick := time.NewTicker(replicaEach)
	defer tick.Stop()
	for {
		lag, err := s.measureReplica(ctx)
		if ctx.Err() != nil {
			return nil
		}
		s.replica.set(lag, err)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// ReplicaLag returns the last measured lag. known is false if the last measurement failed.
func (s *Store) ReplicaLag() (lag time.Duration, known bool) {
	s.replica.mu.Lock()
	defer s.replica.mu.Unlock()
	return s.replica.lag, s.replica.lag >= 0
}

// measureReplica compares the latest row of a process in both databases. Each process
// writes its row every two seconds; see Process.Beat. The primary comes first, so that a
// row that is written in between makes no lag.
func (s *Store) measureReplica(ctx context.Context) (lag time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, replicaTimeout)
	defer cancel()
	var latest [2]int64
	var incarnations [2][]byte
	for i, pool := range []*sql.DB{s.read.pool, s.replica.pool} {
		err := s.readerOf(ctx, pool).query(func(rows *sql.Rows) error { return rows.Scan(&latest[i], &incarnations[i]) },
			"SELECT ("+latestRow+"), (SELECT value FROM settings WHERE name = ?)", incarnationSetting)
		if err != nil {
			return -1, fmt.Errorf("%s: %w", []string{"primary", "replica"}[i], err)
		}
	}
	if string(incarnations[0]) != string(incarnations[1]) {
		return -1, errors.New("it is a copy of another database, or has not followed a restore yet")
	}
	return max(0, span(latest[0]-latest[1])), nil
}

// latestRow selects the time of the latest row of a process. Every transaction that the
// primary committed before that time is in the same database.
const latestRow = "SELECT COALESCE(MAX(seen), 0) FROM processes"

// set notes the result of a measurement.
func (r *replica) set(lag time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lag = lag
	if err == nil && lag > r.maxLag {
		err = fmt.Errorf("it is %v behind; database.maxLag is %v", lag.Round(time.Millisecond), r.maxLag)
	}
	switch {
	case err != nil:
		r.leave(err)
	case !r.used && (r.failed.IsZero() || time.Since(r.failed) > replicaRest):
		r.used, r.told = true, true
		r.log.Info("status lists and history come from the replica", "lag", lag)
	}
}

// fail notes that a read failed, or that what the replica has is wrong.
func (r *replica) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = time.Now()
	r.leave(err)
}

// leave ends the use of the replica. The caller must hold mu.
func (r *replica) leave(err error) {
	if r.used || !r.told {
		r.log.Warn("status lists and history come from the primary until the replica is in step again", "error", err)
	}
	r.used, r.told = false, true
}

// inUse reports whether view reads from the replica. r may be nil.
func (r *replica) inUse() bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.used
}

// view runs a function that only reads, on the replica if that is in use. If this fails,
// view runs the function on the primary. Only reads whose result people look at may use view.
// The replica may be behind, so no decision may depend on it. A read of one farmer uses the
// primary, because a farmer expects to see what it has just done.
func (s *Store) view(ctx context.Context, read func(pool *sql.DB, behind bool) error) error {
	if s.replica.inUse() {
		err := read(s.replica.pool, true)
		if err == nil || ctx.Err() != nil {
			return err
		}
		s.replica.fail(err)
	}
	return read(s.read.pool, false)
}

// viewed is view for reads with a result.
func viewed[T any](ctx context.Context, s *Store, read func(*tx) (T, error)) (result T, err error) {
	err = s.view(ctx, func(pool *sql.DB, _ bool) (err error) {
		result, err = read(s.readerOf(ctx, pool))
		return err
	})
	return result, err
}
