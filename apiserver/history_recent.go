package apiserver

import (
	"context"
	"sync"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

const (
	historyAge = 5 * time.Second // how old an answer may be
	maxRecent  = 64              // how many are remembered at once
)

// recentHistories are those that were read a moment ago: everybody who looks
// at a page of plots asks for the same, and each takes a look at the whole of
// the record.
type recentHistories struct {
	mu  sync.Mutex
	all map[history]recentHistory
}

type recentHistory struct {
	read  time.Time
	spans []node.Span
}

// get is the history asked for, as it is now or was a moment ago.
func (r *recentHistories) get(ctx context.Context, q history, now time.Time, st *store.Store) ([]node.Span, error) {
	r.mu.Lock()
	found, ok := r.all[q]
	r.mu.Unlock()
	if ok && now.Sub(found.read) < historyAge {
		return found.spans, nil
	}
	spans, err := st.History(ctx, q.from, q.to, q.step)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil || len(r.all) >= maxRecent {
		r.all = map[history]recentHistory{}
	}
	r.all[q] = recentHistory{now, spans}
	return spans, nil
}
