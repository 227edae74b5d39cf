package page

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// The zoom levels of the map. Each level doubles the scale.
const minZoom, maxZoom = -2, 6

// figures are computed over all farmers.
type figures struct {
	Totals    node.Totals
	Countries []country
	// atZoom makes the clusters of each zoom level at first use.
	atZoom map[int]func() []cluster
}

func (p *Page) readFigures(ctx context.Context) (figures, error) {
	farmers, err := p.records.View(ctx)
	if err != nil {
		return figures{}, err
	}
	places := farmers.Places()
	f := figures{Totals: farmers.Summary(), Countries: countriesOf(places), atZoom: map[int]func() []cluster{}}
	for zoom := minZoom; zoom <= maxZoom; zoom++ {
		f.atZoom[zoom] = sync.OnceValue(func() []cluster { return clustersOf(places, zoom) })
	}
	return f, nil
}

// rounded cuts a coordinate to the two decimals that a screen can show.
func rounded(v float64) float64 { return math.Round(v*100) / 100 }

// backwards returns a reversed copy.
func backwards[T any](list []T) []T {
	reversed := slices.Clone(list)
	slices.Reverse(reversed)
	return reversed
}

// reading is a value read from the records.
type reading[T any] struct {
	value T
	at    time.Time // when the value was read; zero if it never was
	tried time.Time // the last try
	err   error     // of the last try; if not nil, value is an older one
}

// readTimeout bounds a read for all visitors.
const readTimeout = 10 * time.Second

// cached is a value shared by all visitors and read at most once per life.
// During a read, and if the read fails, visitors get the previous value.
type cached[T any] struct {
	life time.Duration
	read func(context.Context) (T, error)

	reading sync.Mutex
	current atomic.Pointer[reading[T]]
}

func (c *cached[T]) get(ctx context.Context, now time.Time) *reading[T] {
	r := c.current.Load()
	switch {
	case r != nil && now.Sub(r.tried) < c.life:
		return r
	case r != nil && now.Sub(r.at) < 4*c.life:
		if !c.reading.TryLock() {
			return r
		}
	default:
		c.reading.Lock()
	}
	defer c.reading.Unlock()
	if other := c.current.Load(); other != nil && now.Sub(other.tried) < c.life {
		return other // another request read it while this one waited
	}
	// The read continues for other visitors if this one disconnects.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancel()
	next := &reading[T]{tried: now}
	next.value, next.err = c.read(ctx)
	switch {
	case next.err == nil:
		next.at = now
	case r != nil:
		next.value, next.at = r.value, r.at
	}
	c.current.Store(next)
	return next
}
