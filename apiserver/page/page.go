// Package page serves the node's public web pages. They show the farmers: their
// locations, how much they store, how reliable they are, and how these figures have
// changed.
//
// Every page is complete without scripts: the server draws the tables, the plots and
// the map. The scripts in assets add a map that visitors can move, plots that show
// the value under the pointer, and periodic updates.
//
// The libraries folder holds JavaScript libraries, fonts and the map's outline, with
// their licences. The script hack/page-libraries downloads them. They are committed,
// so a build downloads nothing for the page.
//
// Invariants:
//
//   - A page loads nothing from other hosts. Its Content-Security-Policy enforces
//     this.
//   - A page shows only what the status API shows. It never shows a token or an IP
//     address.
//   - A request does not compute the figures over all farmers. All visitors share
//     figures that are computed at most once every few seconds.
package page

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/roster"
	"github.com/driveshare/downstream-node/internal/store"
)

// routes are the page's routes. The paths are in the syntax of net/http and gorilla/mux.
var routes = []struct {
	path  string
	serve func(*Page, http.ResponseWriter, *http.Request)
}{
	{"/", (*Page).home},
	{"/farmer/{id}", (*Page).farmer},
	{"/history", (*Page).history},
	{"/map.json", (*Page).mapJSON},
	{AssetPrefix + "{file}", (*Page).asset},
	{"/badge.svg", (*Page).badge},
	{"/faults.atom", (*Page).faultFeed},
	{"/farmer/{id}/badge.svg", (*Page).farmerBadge},
	{"/farmer/{id}/strip.svg", (*Page).farmerStrip},
	{"/farmer/{id}/events.atom", (*Page).eventFeed},
	{"/robots.txt", (*Page).robots},
}

// Paths returns the paths of the page's routes. A router that lacks one of them counts its
// requests as those of no route.
func Paths() (paths []string) {
	for _, route := range routes {
		paths = append(paths, route.path)
	}
	return paths
}

// AssetPrefix begins the path of every asset.
const AssetPrefix = "/assets/"

// Records is the source of the page's data. A node implements it with its roster and
// its store. The page calls WaitingSize, and for each period History, at most once every 30 seconds, and
// Faults and Maintenances at most once every 5 seconds. If the redundancy is larger than 1, it calls
// CopyCounts at most once every 30 seconds, and CopyHours too for each period. It calls the other methods for every visitor.
type Records interface {
	View(ctx context.Context) (*roster.View, error)
	Farmer(ctx context.Context, id string, now time.Time) (node.Farmer, error)
	FarmerDays(ctx context.Context, id string, since, now time.Time) ([]node.Day, error)
	History(ctx context.Context, from, to time.Time, step time.Duration) ([]node.Span, error)
	Faults(ctx context.Context, limit int) ([]node.Fault, error)
	Maintenances(ctx context.Context) ([]node.Fault, error)
	FarmerEvents(ctx context.Context, id string) ([]node.Event, error)
	NextDue(ctx context.Context, id string, now time.Time) (time.Time, error)
	WaitingSize(ctx context.Context) (chunks, bytes int64, err error)
	CopyCounts(ctx context.Context) ([]store.CopyCount, error)
	CopyHours(ctx context.Context, from time.Time) ([]store.CopyHour, error)
	ScoreRules() node.ScoreRules
}

// Options configure a page. All are required, unless they say otherwise.
type Options struct {
	// GeoLite2 reports whether locations come from a GeoLite2 database. If they do,
	// its licence requires a notice on the page.
	GeoLite2 func() bool
	Log      *slog.Logger
	Now      func() time.Time
	// StatedAt returns the time that uptimes are stated at; nil means now.
	StatedAt func(now time.Time) time.Time
	// Redundancy is how many farmers should hold each file. The page shows copies if it is larger than 1.
	Redundancy int64

	Config  Config
	Version string        // of the program
	Scheme  func() string // of the contracts that the node gives now
	Rules   Rules
	// Invented says that the node invents the places of farmers; see geo.Invent.
	Invented bool
}

// Rules are what the node asks of farmers, and what it gives.
type Rules struct {
	Interval              time.Duration // for each challenge
	Signatures, Whitelist bool
	MinBalance            int64 // of an address on the whitelist, in SJCX
	BytesPerAddress       int64
}

// Offer is the number of bytes that the page proposes to a new farmer.
func (r Rules) Offer() int64 { return min(1<<30, r.BytesPerAddress) }

// OfferText is Offer for the command line.
func (r Rules) OfferText() string {
	if r.Offer() == 1<<30 {
		return "1GiB"
	}
	return strconv.FormatInt(r.Offer(), 10)
}

// Page handles the routes.
type Page struct {
	records   Records
	opt       Options
	assets    *assets
	templates *template.Template
	mux       *http.ServeMux
	slots     chan struct{} // a semaphore of size maxVisitors

	figures   cached[figures]
	histories map[string]*cached[past] // by period name
	waiting   cached[waiting]
	faults    cached[nodeFaults]
	copies    cached[[]store.CopyCount]
	trends    map[string]*cached[[]store.CopyHour] // by period name
}

//go:embed templates
var templateFiles embed.FS

// New makes a page that shows records.
func New(records Records, opt Options) *Page {
	p := &Page{
		records: records, opt: opt, assets: loadAssets(), templates: parseTemplates(),
		mux: http.NewServeMux(), slots: make(chan struct{}, maxVisitors),
	}
	p.figures = cached[figures]{life: 5 * time.Second, read: p.readFigures}
	p.faults = cached[nodeFaults]{life: 5 * time.Second, read: p.readFaults}
	p.copies = cached[[]store.CopyCount]{life: 30 * time.Second, read: records.CopyCounts}
	p.trends = map[string]*cached[[]store.CopyHour]{}
	p.waiting = cached[waiting]{life: 30 * time.Second, read: p.readWaiting}
	p.histories = map[string]*cached[past]{}
	for i := range periods {
		of := &periods[i]
		p.histories[of.Name] = &cached[past]{life: 30 * time.Second, read: func(ctx context.Context) (past, error) { return p.readPast(ctx, of) }}
		p.trends[of.Name] = &cached[[]store.CopyHour]{life: 30 * time.Second, read: func(ctx context.Context) ([]store.CopyHour, error) {
			return p.records.CopyHours(ctx, p.opt.Now().Add(-of.Length))
		}}
	}
	for _, route := range routes {
		pattern := route.path
		if pattern == "/" {
			pattern = "/{$}" // without {$}, net/http would match every path
		}
		p.mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, r *http.Request) { route.serve(p, w, r) })
	}
	p.mux.HandleFunc("GET /", p.notFound)
	return p
}

func (p *Page) asset(w http.ResponseWriter, r *http.Request) {
	if !p.assets.serve(w, r) {
		p.notFound(w, r)
	}
}

// maxVisitors is the maximum number of requests in flight. If the records are slow,
// page requests accumulate. The limit keeps capacity free for farmers.
const maxVisitors = 32

func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
		p.mux.ServeHTTP(w, r)
	default:
		p.Busy(w, r, 3*time.Second)
	}
}

var parseTemplates = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{
		"asset": loadAssets().url, "grouped": grouped, "size": size, "percent": percent,
		"moment": moment, "clock": clock, "date": date, "machine": machine, "decimal": decimal,
		"place": knownPlace, "lasted": lasted, "until": until, "counted": node.Counted, "ago": ago,
	}).ParseFS(templateFiles, "templates/*.html"))
})

// frame is the data of every page. Body is the data of one kind of page.
type frame struct {
	Options
	Node    string // the node's name
	URL     string // the node's URL as this visitor reached it
	Waiting waiting
	Title   string
	About   string // the description of the page, for search engines and links; "" for a general one
	Feed    string // the URL of the page's feed, or ""
	Body    any
	At      time.Time // when the figures were read; zero if there are none
	Stale   bool      // the records cannot be read, so the page shows the last figures
	Live    bool      // the scripts fetch the page again every few seconds
	// Canonical is the shortest URL of the page, or "" if it is not set.
	Canonical string
}

// respond renders a template in the frame and sends it.
func (p *Page) respond(w http.ResponseWriter, r *http.Request, status int, name string, f frame, began time.Time) {
	f.Options, f.Node, f.URL = p.opt, p.name(r), nodeAddress(r)
	var b bytes.Buffer
	if err := p.templates.ExecuteTemplate(&b, name, f); err != nil {
		// Only a mistake in a template causes this. The tests render all templates.
		p.opt.Log.Error("cannot render a page", "template", name, "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	p.send(w, r, status, "text/html; charset=utf-8", b.Bytes(), began, sameOrigin)
}

// waiting is the part of the inventory that waits for farmers.
type waiting struct {
	Known         bool
	Chunks, Bytes int64
}

func (p *Page) readWaiting(ctx context.Context) (w waiting, err error) {
	w.Chunks, w.Bytes, err = p.records.WaitingSize(ctx)
	w.Known = err == nil
	return w, err
}

// name returns the name of the node, or else the host that the visitor asked for.
func (p *Page) name(r *http.Request) string { return cmp.Or(p.opt.Config.Name, r.Host) }

// nodeAddress returns the URL with which this visitor reached the node.
func nodeAddress(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// message is the data of a page with one message.
type message struct{ Heading, Text string }

// notFound responds to an unknown path.
func (p *Page) notFound(w http.ResponseWriter, r *http.Request) {
	p.respondMessage(w, r, http.StatusNotFound, message{"Page not found", "The address may be mistyped, or the page no longer exists."})
}

// Busy responds 503. It is for a visitor who exceeds the rate limit, and for any
// visitor if too many requests are in flight.
func (p *Page) Busy(w http.ResponseWriter, r *http.Request, wait time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
	p.respondMessage(w, r, http.StatusServiceUnavailable, message{"Too many requests", "The node serves too many page requests at the moment. Try again in a few seconds."})
}

// away responds 503, because the records cannot be read.
func (p *Page) away(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() == nil {
		p.opt.Log.Warn("the page cannot read the records", "error", err)
	}
	w.Header().Set("Retry-After", "5")
	p.respondMessage(w, r, http.StatusServiceUnavailable, message{"The records cannot be read at the moment", "The node's database does not respond. No proof is lost. This page reloads automatically when the database responds again."})
}

func (p *Page) respondMessage(w http.ResponseWriter, r *http.Request, status int, m message) {
	p.respond(w, r, status, "message.html", frame{Title: m.Heading, Body: m, Live: status == http.StatusServiceUnavailable}, p.opt.Now())
}

// farmerPage is the data of a farmer's page.
type farmerPage struct {
	rated
	StatedAt time.Time
	NextDue  time.Time // zero if the farmer has no contract; in a fault, it can have passed
	Notices  notices
	Uptimes  []uptimeOver
	Days     []farmerDay // newest first
	Strip    []stripDay
	Plots    []plot
	Events   []event // newest first
	Kinds    []kindCount
}

// find reads a farmer. If there is none, or if the records cannot be read, it responds and returns false.
func (p *Page) find(w http.ResponseWriter, r *http.Request, now time.Time) (f farmerRecords, ok bool) {
	f, err := p.readFarmer(r.Context(), r.PathValue("id"), now)
	return f, p.found(w, r, err)
}

// found responds if a farmer was not found, or if the records could not be read. Otherwise it returns true.
func (p *Page) found(w http.ResponseWriter, r *http.Request, err error) bool {
	switch {
	case errors.Is(err, store.ErrNotFound):
		p.respondMessage(w, r, http.StatusNotFound, message{"No such farmer", "No farmer has this id. It may be mistyped, or the farmer was deleted."})
	case err != nil:
		p.away(w, r, err)
	}
	return err == nil
}

func (p *Page) farmer(w http.ResponseWriter, r *http.Request) {
	now := p.opt.Now()
	f, ok := p.find(w, r, now)
	if !ok {
		return
	}
	faults := p.faults.get(r.Context(), now).value
	stated := p.statedAt(now)
	days := withFaults(f.days, faults.Recorded, now)
	body := farmerPage{
		rated: p.rate(f.Farmer, stated), StatedAt: stated, NextDue: f.nextDue, Notices: faults.notices(now), Uptimes: uptimesOf(f.days),
		Days: backwards(days), Strip: stripOf(days, now), Plots: farmerPlots(f.days),
		Events: eventsOf(f.events, faults.Recorded, now),
	}
	body.Kinds = kindsOf(body.Events)
	p.respond(w, r, http.StatusOK, "farmer.html", frame{
		Title: "Farmer " + f.ID, At: now, Live: true, Body: body, Canonical: "/farmer/" + f.ID, Feed: "/farmer/" + f.ID + "/events.atom",
		About: "Score " + body.Rating.Bound() + ", uptime " + percent(f.Uptime.Percent(stated)) + ", " + node.Counted(f.Contracts, "contract") + ", " + size(f.Size) + " stored.",
	}, now)
}

func (p *Page) statedAt(now time.Time) time.Time {
	if p.opt.StatedAt == nil {
		return now
	}
	return p.opt.StatedAt(now)
}

// farmerRecords is what a farmer's page needs to read.
type farmerRecords struct {
	node.Farmer
	days    []node.Day
	events  []node.Event
	nextDue time.Time
}

func (p *Page) readFarmer(ctx context.Context, name string, now time.Time) (f farmerRecords, err error) {
	id, ok := node.ParseFarmerID(name)
	if !ok {
		return f, store.ErrNotFound
	}
	if f.Farmer, err = p.records.Farmer(ctx, id, p.statedAt(now)); err != nil {
		return f, err
	}
	if f.days, err = p.records.FarmerDays(ctx, id, now.AddDate(0, 0, 1-stripLength), now); err != nil {
		return f, err
	}
	if f.events, err = p.records.FarmerEvents(ctx, id); err != nil {
		return f, err
	}
	f.nextDue, err = p.records.NextDue(ctx, id, p.statedAt(now))
	return f, err
}

// historyPage is the data of the page that shows the plots' figures as a table.
type historyPage struct {
	Period  *period
	Periods []period
	Each    string      // the length of a span
	Spans   []node.Span // newest first
}

func (p *Page) history(w http.ResponseWriter, r *http.Request) {
	began := p.opt.Now()
	of := periodNamed(r.URL.Query().Get("period"))
	found, latest := p.histories[of.Name].get(r.Context(), began), p.figures.get(r.Context(), began)
	if found.at.IsZero() || latest.at.IsZero() {
		p.away(w, r, errors.Join(found.err, latest.err))
		return
	}
	p.respond(w, r, http.StatusOK, "history.html", frame{
		Title: "History of " + of.Title, At: found.at, Stale: found.err != nil,
		Body: historyPage{Period: of, Periods: periods, Each: spanWords(found.value.Step), Spans: backwards(found.value.endingWith(latest.value.Totals).Spans)},
	}, began)
}

// mapJSON responds with the circles of a zoom level. Each circle is a list: x, y,
// radius, radius of the part that is online, label and title.
func (p *Page) mapJSON(w http.ResponseWriter, r *http.Request) {
	began := p.opt.Now()
	zoom, err := strconv.Atoi(r.URL.Query().Get("zoom"))
	if err != nil || zoom < minZoom || zoom > maxZoom {
		p.notFound(w, r)
		return
	}
	found := p.figures.get(r.Context(), began)
	if found.at.IsZero() {
		p.away(w, r, found.err)
		return
	}
	rows := [][]any{}
	for _, s := range spotsOf(found.value.atZoom[zoom](), found.value.Largest) {
		rows = append(rows, []any{rounded(s.X), rounded(s.Y), rounded(s.Radius), rounded(s.Inner), short(s.Farmers), s.Title()})
	}
	body, err := json.Marshal(rows)
	if err != nil {
		p.away(w, r, err)
		return
	}
	p.send(w, r, http.StatusOK, "application/json", body, began, sameOrigin)
}
