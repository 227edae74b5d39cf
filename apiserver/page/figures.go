package page

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/roster"
)

// The zoom levels of the map. Each level doubles the scale.
const minZoom, maxZoom = -2, 6

// figures holds all farmers at one moment, and the figures that are computed over them.
// The parts of a page use the same figures, so that they agree.
type figures struct {
	Farmers   *roster.View
	Totals    node.Totals
	Countries []country
	Largest   int64 // the farmers of the largest cluster on the whole map
	// atZoom returns the map's clusters by zoom level. The first call for a level
	// computes them.
	atZoom map[int]func() []cluster
}

func (p *Page) readFigures(ctx context.Context) (figures, error) {
	farmers, err := p.records.View(ctx)
	if err != nil {
		return figures{}, err
	}
	places := farmers.Places()
	f := figures{Farmers: farmers, Totals: farmers.Summary(), Countries: countriesOf(farmers.Countries()), atZoom: map[int]func() []cluster{}}
	for zoom := minZoom; zoom <= maxZoom; zoom++ {
		f.atZoom[zoom] = sync.OnceValue(func() []cluster { return clustersOf(places, zoom) })
	}
	for _, c := range f.atZoom[0]() {
		f.Largest = max(f.Largest, c.Farmers)
	}
	return f, nil
}

// rounded rounds a coordinate to two decimals, because a screen cannot show more.
func rounded(v float64) float64 { return math.Round(v*100) / 100 }

// backwards returns a reversed copy.
func backwards[T any](list []T) []T {
	reversed := slices.Clone(list)
	slices.Reverse(reversed)
	return reversed
}

// reading is the result of reading a value from the records.
type reading[T any] struct {
	value T
	at    time.Time // when value was read; zero if no read has succeeded
	tried time.Time // the time of the last read, successful or not
	err   error     // the error of the last read; if it is not nil, value is from an earlier read
}

// readTimeout is the maximum duration of a read.
const readTimeout = 10 * time.Second

// cached is a value that all visitors share. It is read at most once in each period
// of the length life. During a read, visitors get the previous value; if that value
// is older than 4*life, they wait. If the read fails, they get the previous value
// and the error.
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
		return other // another request read the value while this request waited
	}
	// If this visitor disconnects, the read continues for the other visitors.
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
