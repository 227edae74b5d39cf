// Package roster keeps all farmers in memory, for the status routes and the web page.
// With 100,000 farmers, it lists one page of them, sorted by any column, within
// milliseconds. More readers do not cause more database reads.
//
// A View holds all farmers at one moment. It is immutable and shared by all readers.
// If the last view is older than Options.Age, Roster.View reads the changes since
// then: written tokens, deleted tokens, and expired contracts that the sweeper has
// not swept yet. It reads all three in one consistent read of the database. So the
// counts of a view are exact at its Time.
//
// The roster misses a change if its commit takes longer than the store expects, or
// if the database's clock is set back. Therefore the roster reads all farmers again
// every ten minutes.
//
// If the database cannot be read, Roster.View returns the last view until that view
// is older than Options.Keep. Then it returns an error. The view's Time shows its age.
//
// No rule of the node may depend on the roster. Code that needs a farmer's
// current record must read it from the store.
package roster

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

// Options set how fresh views are.
type Options struct {
	// Age is the maximum age of a view. If it is 0, every call reads the database.
	Age time.Duration
	// Keep is the maximum age of a view if the database cannot be read.
	Keep time.Duration
	// StatedAt returns the time that a view at now states uptimes at; nil means now.
	StatedAt func(now time.Time) time.Time
}

const (
	// fullReadEach is the interval between two reads of all farmers.
	fullReadEach = 10 * time.Minute
	// If View was not called for this time, Run stops refreshing the view.
	idleAfter = time.Minute
	// readTimeout is the maximum duration of one reading of the database.
	readTimeout = 20 * time.Second
	// If a reading of the database is slow, a view may be older than Age: up to
	// costFactor times the duration of the reading, but not more than oldestView.
	// This limits the share of the time that the roster spends on reading.
	costFactor = 25
	oldestView = 15 * time.Second
)

// Roster makes views. It is safe for concurrent use.
type Roster struct {
	opt   Options
	store *store.Store
	log   *slog.Logger
	now   func() time.Time

	reader   chan struct{} // a lock for the reader; guards the next four fields
	mark     store.Mark
	fullRead time.Time                        // the time of the last read of all farmers
	fullOf   int                              // the value of resets at that time
	places   map[node.Location]*node.Location // one shared copy of each location

	mu     sync.Mutex // guards the next four fields
	last   reading
	begun  int       // the number of readings that have begun
	wanted time.Time // the last call of View
	resets int       // the number of calls of Reset
}

// reading is the result of reading the database once.
type reading struct {
	number int           // 1 for the first reading
	cost   time.Duration // the duration of the last reading that was not a full read
	view   *View         // the previous view if err is not nil
	err    error
}

// New makes a roster. now is its clock.
func New(st *store.Store, opt Options, log *slog.Logger, now func() time.Time) *Roster {
	return &Roster{
		opt: opt, store: st, log: log, now: now, wanted: now(),
		reader: make(chan struct{}, 1), places: map[node.Location]*node.Location{},
	}
}

// View returns a view that is fresh enough for the Options.
func (r *Roster) View(ctx context.Context) (*View, error) {
	now := r.now()
	r.mu.Lock()
	r.wanted = now
	last, begun := r.last, r.begun
	r.mu.Unlock()
	if last.fresh(r.opt.Age, now) {
		return last.view, nil
	}
	last, err := r.read(ctx, now, begun)
	if err != nil {
		return nil, err
	}
	if last.err != nil && (last.view == nil || now.Sub(last.view.read) > r.opt.Keep) {
		return nil, last.err
	}
	return last.view, nil
}

// Reset makes the next reading read all farmers, because the database was set back
// to an earlier state: farmers may have vanished without a trace.
func (r *Roster) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resets++
}

// fresh reports whether the view is fresh enough at now.
func (l *reading) fresh(age time.Duration, now time.Time) bool {
	return age > 0 && l.view != nil && now.Sub(l.view.read) <= max(age, min(oldestView, costFactor*l.cost))
}

// read reads the database. begun is the number of readings that had begun before the
// call. If another goroutine has begun and completed a later reading, or if the last
// view is fresh, read returns that reading instead. It returns an error only if ctx
// ends. An error of the database is in the reading.
func (r *Roster) read(ctx context.Context, now time.Time, begun int) (reading, error) {
	select {
	case r.reader <- struct{}{}:
		defer func() { <-r.reader }()
	case <-ctx.Done():
		return reading{}, ctx.Err()
	}
	r.mu.Lock()
	last := r.last
	if last.number > begun || last.fresh(r.opt.Age, now) {
		r.mu.Unlock()
		return last, nil
	}
	r.begun++
	next := reading{number: r.begun, cost: last.cost}
	resets := r.resets
	r.mu.Unlock()
	began := r.now()
	full := began.Sub(r.fullRead) >= fullReadEach || r.fullOf < resets
	next.view, next.err = r.readStore(ctx, last.view, full)
	if ctx.Err() != nil {
		return reading{}, ctx.Err() // the caller has cancelled; this is not a failure of the database
	}
	switch {
	case next.err != nil:
		next.view = last.view
	case full:
		r.fullOf = resets
	default:
		next.cost = r.now().Sub(began)
	}
	r.mu.Lock()
	r.last = next
	r.mu.Unlock()
	return next, nil
}

// readStore makes the next view. The caller must hold r.reader.
func (r *Roster) readStore(ctx context.Context, last *View, full bool) (*View, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	now, since := r.now(), r.mark
	if full || last == nil {
		since = 0
	}
	at := now
	if r.opt.StatedAt != nil {
		at = r.opt.StatedAt(now)
	}
	news, err := r.store.FarmersSince(ctx, since, at)
	if err != nil {
		return nil, err
	}
	if news.Whole {
		r.fullRead, last = now, nil
		clear(r.places)
	}
	for _, f := range news.Changed {
		f.Location = r.place(f.Location)
	}
	r.mark = news.Mark
	next := NewView(news.Time, r.store.ScoreRules(), last, &news)
	next.read = now
	next.prepare(last)
	return next, nil
}

// place returns the shared copy of a location, because many farmers are in one city.
func (r *Roster) place(l *node.Location) *node.Location {
	if l == nil {
		return nil
	}
	if shared, ok := r.places[*l]; ok {
		return shared
	}
	r.places[*l] = l
	return l
}

// Run refreshes the view until ctx ends, so that View seldom waits for the
// database. It pauses if View was not called for a minute.
func (r *Roster) Run(ctx context.Context) {
	if r.opt.Age <= 0 {
		return
	}
	tick := time.NewTicker(r.opt.Age / 4)
	defer tick.Stop()
	for {
		now := r.now()
		r.mu.Lock()
		last, begun, idle := r.last, r.begun, now.Sub(r.wanted) >= idleAfter
		r.mu.Unlock()
		// Replace a view at half of the maximum age, before it is too old for a caller.
		if !idle && !last.fresh(r.opt.Age/2, now) {
			if last, err := r.read(ctx, now.Add(time.Hour), begun); err == nil && last.err != nil {
				r.log.Debug("cannot read the farmers", "error", last.err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
