package page

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/roster"
)

// homePage is the data of the front page.
type homePage struct {
	Totals    node.Totals
	Health    health
	Days      lastDays
	Map       worldMap
	Countries []countryLink
	Elsewhere []countryLink // the countries that are not shown at first
	Periods   []choice
	Period    *period
	Plots     []plot
	Copies    *copies // nil if there are no files with several copies
	Notices   notices
	Available *availability // over the time of the plots; nil if it is unknown
	Table     table
}

// worldMap is the data of the map.
type worldMap struct {
	Width, Height float64
	Spots, Legend []spot
	Zooms         [2]int // the lowest and the highest zoom level
}

// countryLink is a country whose link shows its farmers in the table.
type countryLink struct {
	country
	Link   string
	Chosen bool
}

// choice is one link in a list, such as a page number.
type choice struct {
	Name, Link string
	Chosen     bool // the visitor's current choice
}

// table is one page of the table of farmers.
type table struct {
	selection
	At          time.Time
	Farmers     []rated
	Total       int64
	First, Last int64 // positions of the farmers shown, from 1; 0 if there are none
	Columns     []column
	Pages       []choice     // an element "…" without a link replaces the pages left out
	Earlier     string       // the link to the previous page, or ""
	Later       string       // the link to the next page, or ""
	Everywhere  string       // the link to the farmers of all countries, or "" if it shows them
	Sums        *node.Totals // of all farmers that the search or the country selects; nil without both
	CSV, JSON   string       // links to all the farmers that the table lists
}

// column is a column head.
type column struct {
	Title  string
	Name   string // the CSS class; also the name of the sort, if there is a link
	Link   string // "" if the table cannot be sorted by this column
	Order  string // the value of aria-sort; "" if the table is not sorted by this column
	Figure bool   // the values are numbers, aligned to the right
}

// countriesShown is the maximum number of countries listed beside the map.
const countriesShown = 8

func (p *Page) home(w http.ResponseWriter, r *http.Request) {
	now := p.opt.Now()
	v := parseSelection(r.URL.Query())
	found := p.figures.get(r.Context(), now)
	if found.at.IsZero() {
		p.away(w, r, found.err)
		return
	}
	f := found.value
	day := p.histories[periods[0].Name].get(r.Context(), now).value
	timeline := p.histories[v.Period.Name].get(r.Context(), now).value.endingWith(f.Totals)
	faults := p.faults.get(r.Context(), now)
	body := homePage{
		Totals:  f.Totals,
		Days:    day.days,
		Map:     worldMap{mapWidth, mapHeight, spotsOf(f.atZoom[0](), f.Largest), legendOf(f.Largest), [2]int{minZoom, maxZoom}},
		Period:  v.Period,
		Plots:   timeline.plots(v.Period, found.at),
		Copies:  p.copiesOver(r.Context(), v.Period, now),
		Table:   p.table(f.Farmers, v),
		Notices: faults.value.notices(now),
	}
	body.Health = healthOf(f.Totals, day.days, day.day, body.Notices.Fault)
	if found.err != nil {
		body.Health.Problems = append([]problem{{"the node has not read its records", found.at}}, body.Health.Problems...)
	}
	if len(timeline.Spans) > 0 && !faults.at.IsZero() {
		body.Available = availabilityOf(faults.value.Recorded, timeline.Spans[0].Start, now)
	}
	for _, c := range f.Countries {
		body.Countries = append(body.Countries, countryLink{c, v.in(c.Name).link(), c.Name == v.Country})
	}
	if len(body.Countries) > countriesShown+1 { // one more country takes no more room than a link to it
		body.Countries, body.Elsewhere = body.Countries[:countriesShown], body.Countries[countriesShown:]
	}
	for i := range periods {
		of := &periods[i]
		body.Periods = append(body.Periods, choice{of.Title, v.over(of).link(), of == v.Period})
	}
	p.respond(w, r, http.StatusOK, "home.html", frame{
		Title: "Farmers", Feed: "/faults.atom", Waiting: p.waiting.get(r.Context(), now).value, About: body.Health.Text(), At: found.at, Stale: found.err != nil, Live: true, Canonical: body.Table.link(), Body: body,
	}, now)
}

// table lists the farmers that v selects. If the page number is too large, it lists
// the last page.
func (p *Page) table(farmers *roster.View, v selection) table {
	found, total := farmers.List(v.Query)
	pages := (total + pageLength - 1) / pageLength
	if pages > 0 && v.Page >= pages {
		v.Page = pages - 1
		found, _ = farmers.List(v.Query)
	}
	t := table{selection: v, At: farmers.Time, Total: int64(total), Columns: columnsOf(v), Pages: pagesAround(v, pages), CSV: v.export("csv"), JSON: v.export("")}
	for f := range found {
		t.Farmers = append(t.Farmers, p.rate(f, t.At))
	}
	if len(t.Farmers) > 0 {
		t.First = int64(v.Page*pageLength + 1)
		t.Last = t.First + int64(len(t.Farmers)) - 1
	}
	if v.Page > 0 {
		t.Earlier = v.onPage(v.Page - 1).link()
	}
	if v.Page+1 < pages {
		t.Later = v.onPage(v.Page + 1).link()
	}
	if v.Country != "" {
		t.Everywhere = v.in("").link()
	}
	if v.Country+v.Search != "" {
		t.Sums = sumOf(farmers, v.Query)
	}
	return t
}

// sumOf returns the contracts and bytes of all farmers that a query selects.
func sumOf(farmers *roster.View, q roster.Query) *node.Totals {
	q.Limit, q.Page = 0, 0
	sum := node.Totals{}
	all, _ := farmers.List(q)
	for f := range all {
		sum.Contracts += f.Contracts
		sum.Size += f.Size
	}
	return &sum
}

func columnsOf(v selection) []column {
	columns := []column{
		{Title: "Farmer", Name: "id"},
		{Title: "Address", Name: "address"},
		{Title: "Score", Name: "score", Figure: true},
		{Title: "Uptime", Name: "uptime", Figure: true},
		{Title: "Farming since", Name: "since", Figure: true},
		{Title: "Last proof", Name: "seen", Figure: true},
		{Title: "Right proofs", Name: "heartbeats", Figure: true},
		{Title: "Contracts", Name: "contracts", Figure: true},
		{Title: "Stored", Name: "size", Figure: true},
		{Title: "Status", Name: "online"},
		{Title: "Place", Name: "place"},
	}
	for i := range columns {
		c := &columns[i]
		sort, ok := roster.ParseSort(c.Name)
		if !ok {
			continue
		}
		c.Link = v.sortedBy(sort).link()
		if sort == v.Sort {
			c.Order = direction(v.Desc) + "ending"
		}
	}
	return columns
}

// pagesAround returns links to the first page, the last page, the current page and
// the pages next to it.
func pagesAround(v selection, pages int) []choice {
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

const (
	// pageLength is the number of farmers on a page of the table.
	pageLength = 50
	// lastPage is the maximum page number in a URL.
	lastPage = 1_000_000
	// searchLength is the maximum length of a search text, in bytes. An id has 20,
	// and a usual address has at most 35.
	searchLength = 64

	defaultSort = roster.ByScore
)

// selection is the query of the front page's URL. Invalid values are ignored, so
// every URL shows a page.
type selection struct {
	roster.Query
	Period *period // the period that the plots show
}

func parseSelection(v url.Values) selection {
	q := selection{Query: roster.Query{Limit: pageLength}, Period: periodNamed(v.Get("period"))}
	var ok bool
	if q.Sort, ok = roster.ParseSort(v.Get("sort")); !ok {
		q.Sort = defaultSort
	}
	q.Desc = descendsFirst(q.Sort)
	if dir := v.Get("dir"); dir == "asc" || dir == "desc" {
		q.Desc = dir == "desc"
	}
	q.Online = v.Get("online") == "1"
	q.Search = v.Get("q")
	q.Search = strings.TrimSpace(q.Search[:min(len(q.Search), searchLength)])
	q.Country = v.Get("country")
	q.Country = strings.TrimSpace(q.Country[:min(len(q.Country), searchLength)])
	if n, err := strconv.Atoi(v.Get("page")); err == nil && n > 1 {
		q.Page = min(n, lastPage) - 1
	}
	return q
}

// descendsFirst reports whether the first click on a column's head sorts the table in
// descending order. It does for every column except texts and the first day.
func descendsFirst(sort roster.Sort) bool {
	return sort != roster.ByID && sort != roster.ByAddress && sort != roster.ByPlace && sort != roster.BySince
}

// link returns the shortest URL of the front page that has this selection.
func (v selection) link() string {
	q := url.Values{}
	if v.Sort != defaultSort {
		q.Set("sort", v.Sort.String())
	}
	if v.Desc != descendsFirst(v.Sort) {
		q.Set("dir", direction(v.Desc))
	}
	if v.Online {
		q.Set("online", "1")
	}
	if v.Search != "" {
		q.Set("q", v.Search)
	}
	if v.Country != "" {
		q.Set("country", v.Country)
	}
	if v.Page > 0 {
		q.Set("page", strconv.Itoa(v.Page+1))
	}
	if v.Period != &periods[0] {
		q.Set("period", v.Period.Name)
	}
	if len(q) == 0 {
		return "/"
	}
	return "/?" + q.Encode()
}

// in returns the selection of the farmers of a country, or of all with "".
func (v selection) in(country string) selection { v.Country, v.Page = country, 0; return v }

// export returns the URL of the status API that lists the same farmers.
func (v selection) export(format string) string {
	path := "/api/downstream/v1/status/list"
	if v.Online {
		path += "/online"
	}
	path += "/by/"
	if v.Desc {
		path += "d/"
	}
	path += v.Sort.String()
	q := url.Values{}
	for name, value := range map[string]string{"search": v.Search, "country": v.Country, "format": format} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

func direction(desc bool) string {
	if desc {
		return "desc"
	}
	return "asc"
}

// sortedBy returns the selection after a click on a column's head.
func (v selection) sortedBy(sort roster.Sort) selection {
	if v.Sort == sort {
		v.Desc = !v.Desc
	} else {
		v.Sort, v.Desc = sort, descendsFirst(sort)
	}
	v.Page = 0
	return v
}

func (v selection) onPage(n int) selection { v.Page = n; return v }

func (v selection) over(of *period) selection { v.Period = of; return v }
