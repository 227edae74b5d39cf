package page

import (
	"context"
	"time"

	"github.com/driveshare/downstream-node/internal/store"
)

// copies is the data of the section about files that several farmers hold.
type copies struct {
	Target, Files, Below int64
	Counts               []copyCount // from no copy to the most
	Trend                plot
}

// copyCount is one row of the histogram.
type copyCount struct {
	Copies, Files int64
	Share         float64 // the number of files in percent of the largest number
}

// copiesOver returns nil if there is nothing to show.
func (p *Page) copiesOver(ctx context.Context, of *period, now time.Time) *copies {
	if p.opt.Redundancy <= 1 {
		return nil
	}
	found := p.copies.get(ctx, now)
	if len(found.value) == 0 {
		return nil
	}
	return copiesOf(found.value, p.trends[of.Name].get(ctx, now).value, p.opt.Redundancy)
}

func copiesOf(counts []store.CopyCount, hours []store.CopyHour, target int64) *copies {
	c := copies{Target: target, Counts: make([]copyCount, 1+max(target, counts[len(counts)-1].Copies)), Trend: plot{Title: "Files below the target", Unit: inCounts, Bad: true}}
	most := int64(1)
	for _, n := range counts {
		c.Counts[n.Copies].Files = n.Files
		c.Files += n.Files
		if n.Copies < target {
			c.Below += n.Files
		}
		most = max(most, n.Files)
	}
	for i := range c.Counts {
		c.Counts[i].Copies, c.Counts[i].Share = int64(i), 100*float64(c.Counts[i].Files)/float64(most)
	}
	each := 1 + len(hours)/maxPoints
	for i, h := range hours {
		if (len(hours)-1-i)%each == 0 { // the latest is always shown
			c.Trend.add(h.At, float64(h.BelowTarget))
			c.Trend.From, c.Trend.To = c.Trend.times[0], h.At
		}
	}
	return &c
}
