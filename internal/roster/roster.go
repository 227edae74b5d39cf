package roster

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

// Options say how fresh views are.
type Options struct {
	// Age is how old a view may be. With 0, each asker gets one of its own,
	// made after it asked.
	Age time.Duration
	// Keep is how old a view may be while the database is away.
	Keep time.Duration
}

const (
	// wholeEach is how often everything is read anew.
	wholeEach = 10 * time.Minute
	// warm is for how long after the last asker views are kept fresh.
	warm = time.Minute
	// patience is how long a reading of the database may take.
	patience = 20 * time.Second
	// share is the part of the time that may go into keeping views fresh, as
	// its inverse: where readings take long, they are made less often, and
	// views are older than Age, up to oldest.
	share  = 25
	oldest = 15 * time.Second
)

// Roster makes views. It is safe for concurrent use.
type Roster struct {
	opt   Options
	store *store.Store
	log   *slog.Logger
	now   func() time.Time

	turn   chan struct{} // held by who reads; guards what follows
	mark   store.Mark
	whole  time.Time // when everything was read
	places map[node.Location]*node.Location

	mu    sync.Mutex // guards what follows
	last  reading
	asked time.Time
}

// reading is one look into the database.
type reading struct {
	began time.Time // by the process's own clock
	cost  time.Duration
	view  *View // the last there is, also where err is not nil
	err   error
}

// New makes a roster. now is the clock that views are as of.
func New(st *store.Store, opt Options, log *slog.Logger, now func() time.Time) *Roster {
	return &Roster{
		opt: opt, store: st, log: log, now: now, asked: now(),
		turn: make(chan struct{}, 1), places: map[node.Location]*node.Location{},
	}
}

// View gives the farmers as of a moment ago.
func (r *Roster) View(ctx context.Context) (*View, error) {
	now, arrived := r.now(), time.Now()
	r.mu.Lock()
	r.asked = now
	last := r.last
	r.mu.Unlock()
	if last.fresh(r.opt, now) {
		return last.view, nil
	}
	last, err := r.read(ctx, now, arrived)
	if err != nil {
		return nil, err
	}
	if last.err != nil && (last.view == nil || now.Sub(last.view.Time) > r.opt.Keep) {
		return nil, last.err
	}
	return last.view, nil
}

// fresh says whether the view needs no new reading at now.
func (l *reading) fresh(opt Options, now time.Time) bool {
	return opt.Age > 0 && l.view != nil && now.Sub(l.view.Time) <= max(opt.Age, min(oldest, share*l.cost))
}

// read waits for its turn and reads, unless another did so meanwhile. It fails
// where ctx ends; that the database failed is in the reading.
func (r *Roster) read(ctx context.Context, now, arrived time.Time) (reading, error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return reading{}, ctx.Err()
	}
	r.mu.Lock()
	last := r.last
	r.mu.Unlock()
	if last.began.After(arrived) || last.fresh(r.opt, now) {
		return last, nil
	}
	next := reading{began: time.Now(), cost: last.cost}
	whole := r.now().Sub(r.whole) >= wholeEach
	next.view, next.err = r.readStore(ctx, last.view, whole)
	if ctx.Err() != nil {
		return reading{}, ctx.Err() // it says nothing about the database
	}
	if next.err != nil {
		next.view = last.view
	} else if !whole {
		next.cost = time.Since(next.began)
	}
	r.mu.Lock()
	r.last = next
	r.mu.Unlock()
	return next, nil
}

// readStore makes the next view. Its turn is the caller's.
func (r *Roster) readStore(ctx context.Context, last *View, whole bool) (*View, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	now, since := r.now(), r.mark
	if whole || last == nil {
		since = 0
	}
	news, err := r.store.FarmersSince(ctx, since, now)
	if err != nil {
		return nil, err
	}
	if news.Whole {
		r.whole, last = now, nil
		clear(r.places)
	}
	for _, f := range news.Changed {
		f.Location = r.place(f.Location)
	}
	r.mark = news.Mark
	next := newView(now, last, &news)
	next.prepare(last)
	return next, nil
}

// place gives the one copy that is kept of a location: farmers are many more
// than their cities.
func (r *Roster) place(l *node.Location) *node.Location {
	if l == nil {
		return nil
	}
	if kept, ok := r.places[*l]; ok {
		return kept
	}
	r.places[*l] = l
	return l
}

// Run keeps views fresh until ctx ends, so that those who ask every now and
// then need not wait for the database. Without askers it does nothing.
func (r *Roster) Run(ctx context.Context) {
	if r.opt.Age <= 0 {
		return
	}
	tick := time.NewTicker(r.opt.Age / 4)
	defer tick.Stop()
	for {
		now := r.now()
		r.mu.Lock()
		last, wanted := r.last, now.Sub(r.asked) < warm
		r.mu.Unlock()
		// A view is replaced in the middle of its age.
		half := r.opt
		half.Age /= 2
		if wanted && !last.fresh(half, now) {
			if last, err := r.read(ctx, now.Add(time.Hour), time.Now()); err == nil && last.err != nil {
				r.log.Debug("farmers not read", "error", last.err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
