package page

import (
	"net/http"
	"strings"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// homePage is what the front page shows.
type homePage struct {
	Totals    node.Totals
	Map       worldMap
	Countries []country
	Elsewhere int // countries beyond those shown
	Periods   []choice
	Period    period
	Plots     []plot
	Table     table
	Node      string // this node's address, for those who want to join
}

// worldMap is the map as the server draws it.
type worldMap struct {
	Width, Height float64
	Clusters      []cluster
	Zooms         [2]int
}

// choice is a link among others of which one is chosen.
type choice struct {
	Name, Link string
	Chosen     bool
}

// table is a page of the farmers.
type table struct {
	view
	Farmers     []Farmer
	Total       int64
	First, Last int64 // of the farmers shown, from 1; 0 where there are none
	Columns     []column
	Pages       []choice // "…" without a link stands for those left out
	Earlier     string   // the page before, or ""
	Later       string
	Away        bool // the farmers could not be read
}

// column is the head of one.
type column struct {
	Title, Sort, Link string
	Order             string // as aria-sort says it; "" where it is not sorted by
	Figure            bool   // stands to the right
}

// countriesShown is how many countries stand beside the map.
const countriesShown = 8

func (p *Page) home(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	v := parseView(r.URL.Query())
	now := p.opt.Now()
	found := p.figures.get(r.Context(), now)
	if found.at.IsZero() {
		p.away(w, r, found.err)
		return
	}
	timeline := p.histories[v.Period].get(r.Context(), now).value
	body := homePage{
		Totals:    found.value.Totals,
		Map:       worldMap{mapWidth, mapHeight, found.value.clusters(0), [2]int{minZoom, maxZoom}},
		Countries: found.value.Countries,
		Period:    *periodNamed(v.Period),
		Plots:     timeline.plots(),
		Table:     p.table(r, v),
		Node:      nodeAddress(r),
	}
	if more := len(body.Countries) - countriesShown; more > 0 {
		body.Countries, body.Elsewhere = body.Countries[:countriesShown], more
	}
	for _, of := range periods {
		body.Periods = append(body.Periods, choice{of.Title, v.over(of.Name).link(), of.Name == v.Period})
	}
	p.answer(w, r, http.StatusOK, "home.html", frame{
		Title: "Farmers", At: found.at, Stale: found.err != nil, Live: true, Canonical: body.Table.link(), Body: body,
	}, began)
}

// table reads the farmers of a view. A page beyond the last shows the last.
func (p *Page) table(r *http.Request, v view) table {
	farmers, total, err := p.records.List(r.Context(), v.Query)
	if last := (total - 1) / pageLength; err == nil && total > 0 && v.Page > last {
		v.Page = last
		farmers, total, err = p.records.List(r.Context(), v.Query)
	}
	if err != nil && r.Context().Err() == nil {
		p.opt.Log.Warn("the page cannot list farmers", "error", err)
	}
	t := table{view: v, Farmers: farmers, Total: int64(total), Columns: columnsOf(v), Away: err != nil}
	if len(farmers) > 0 {
		t.First = int64(v.Page*pageLength + 1)
		t.Last = t.First + int64(len(farmers)) - 1
	}
	pages := (total + pageLength - 1) / pageLength
	if v.Page > 0 {
		t.Earlier = v.onPage(v.Page - 1).link()
	}
	if v.Page+1 < pages {
		t.Later = v.onPage(v.Page + 1).link()
	}
	t.Pages = pagesAround(v, pages)
	return t
}

func columnsOf(v view) []column {
	titles := []string{"Farmer", "Address", "Uptime", "Heartbeats", "Contracts", "Stored", "Status"}
	columns := make([]column, len(sorts))
	for i, sort := range sorts {
		columns[i] = column{Title: titles[i], Sort: sort, Link: v.sortedBy(sort).link(), Figure: i >= 2 && sort != "online"}
		if sort == v.Sort {
			columns[i].Order = direction(v.Desc) + "ending"
		}
	}
	return columns
}

// pagesAround are links to the first page, the last, and those around this.
func pagesAround(v view, pages int) []choice {
	var links []choice
	for n := range pages {
		near := n >= v.Page-1 && n <= v.Page+1
		switch {
		case n == 0 || n == pages-1 || near:
			links = append(links, choice{grouped(int64(n + 1)), v.onPage(n).link(), n == v.Page})
		case n == v.Page-2 || n == v.Page+2:
			links = append(links, choice{Name: "…"})
		}
	}
	return links
}

// nodeAddress is how this visitor came here.
func nodeAddress(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}
