package apiserver

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/driveshare/downstream-node/apiserver/page"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/roster"
	"github.com/driveshare/downstream-node/internal/store"
)

// pageRecords are what the page shows, from the same sources as the status
// routes.
type pageRecords struct {
	roster *roster.Roster
	store  *store.Store
	now    func() time.Time
}

var _ page.Records = (*pageRecords)(nil)

func (r *pageRecords) List(ctx context.Context, q page.Query) ([]page.Farmer, int, error) {
	view, err := r.roster.View(ctx)
	if err != nil {
		return nil, 0, err
	}
	sort, _ := roster.ParseSort(q.Sort) // the page knows the same
	found, total := view.List(roster.Query{
		Sort: sort, Desc: q.Desc, Online: q.Online, Search: q.Search, Limit: q.Limit, Page: q.Page,
	})
	var farmers []page.Farmer
	for f := range found {
		farmers = append(farmers, pageFarmer(f, view.Time))
	}
	return farmers, total, nil
}

func pageFarmer(f node.Farmer, now time.Time) page.Farmer {
	return page.Farmer{
		ID: f.ID, Address: f.Address, Location: f.Location,
		Uptime: f.Uptime.Percent(now), Online: f.Uptime.Online(now),
		Heartbeats: f.Heartbeats, Contracts: f.Contracts, Size: f.Size, LastDue: f.LastDue,
	}
}

func (r *pageRecords) Show(ctx context.Context, id string) (page.Farmer, error) {
	parsed, ok := node.ParseFarmerID(id)
	if !ok {
		return page.Farmer{}, page.ErrNotFound
	}
	now := r.now()
	f, err := r.store.Farmer(ctx, parsed, now)
	if errors.Is(err, store.ErrNotFound) {
		return page.Farmer{}, page.ErrNotFound
	}
	return pageFarmer(f, now), err
}

func (r *pageRecords) Days(ctx context.Context, id string, count int) ([]node.Day, error) {
	now := r.now()
	return r.store.FarmerDays(ctx, id, now.AddDate(0, 0, 1-count), now)
}

func (r *pageRecords) Summary(ctx context.Context) (node.Totals, error) {
	view, err := r.roster.View(ctx)
	if err != nil {
		return node.Totals{}, err
	}
	return view.Summary(), nil
}

func (r *pageRecords) Places(ctx context.Context) ([]node.Place, error) {
	view, err := r.roster.View(ctx)
	if err != nil {
		return nil, err
	}
	return view.Places(), nil
}

func (r *pageRecords) History(ctx context.Context, from, to time.Time, step time.Duration) ([]node.Span, error) {
	return r.store.History(ctx, from, to, step)
}

// showPage is the handler of whatever is not a farmer's request.
func (s *Server) showPage(w http.ResponseWriter, r *http.Request) error {
	s.page.ServeHTTP(w, r)
	return nil
}
