package page

import (
	"context"
	"math"
	"slices"
	"sync"

	"github.com/driveshare/downstream-node/internal/node"
)

// The zooms of the map; each shows things twice as large as the one before.
const minZoom, maxZoom = -2, 6

// figures are what is over all farmers.
type figures struct {
	Totals    node.Totals
	Countries []country
	// atZoom are the clusters, made for each zoom when first asked for.
	atZoom map[int]func() []cluster
}

func (p *Page) readFigures(ctx context.Context) (figures, error) {
	totals, err := p.records.Summary(ctx)
	if err != nil {
		return figures{}, err
	}
	places, err := p.records.Places(ctx)
	if err != nil {
		return figures{}, err
	}
	f := figures{Totals: totals, Countries: countriesOf(places), atZoom: map[int]func() []cluster{}}
	for zoom := minZoom; zoom <= maxZoom; zoom++ {
		f.atZoom[zoom] = sync.OnceValue(func() []cluster { return clustersOf(places, zoom) })
	}
	return f, nil
}

func (p *Page) readHistory(ctx context.Context, of period) (timeline, error) {
	now := p.opt.Now()
	spans, err := p.records.History(ctx, now.Add(-of.Length), now, of.step)
	return timelineOf(spans, of.step), err
}

func (f figures) clusters(zoom int) []cluster { return f.atZoom[zoom]() }

// rounded is a coordinate with as many decimals as a screen can show.
func rounded(v float64) float64 { return math.Round(v*100) / 100 }

// backwards is a copy in the opposite order.
func backwards[T any](list []T) []T {
	reversed := slices.Clone(list)
	slices.Reverse(reversed)
	return reversed
}
