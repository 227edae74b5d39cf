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
	"context"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/roster"
	"github.com/driveshare/downstream-node/internal/store"
)

// Paths are the page's routes, in the syntax of net/http and gorilla/mux.
var Paths = []string{"/", "/farmer/{id}", "/history", "/map.json", AssetPrefix + "{file}"}

// AssetPrefix begins the path of every asset.
const AssetPrefix = "/assets/"

// Records is the source of the page's data. A node implements it with its roster and
// its store. The page calls History at most once every 30 seconds for each period, and
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
}

// Page handles the routes in Paths.
type Page struct {
	records   Records
	opt       Options
	assets    *assets
	templates *template.Template
	mux       *http.ServeMux
	slots     chan struct{} // a semaphore of size maxVisitors

	figures   cached[figures]
	histories map[string]*cached[timeline] // by period name
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
	p.histories = map[string]*cached[timeline]{}
	for _, of := range periods {
		p.histories[of.Name] = &cached[timeline]{life: 30 * time.Second, read: func(ctx context.Context) (timeline, error) {
			now := p.opt.Now()
			spans, err := p.records.History(ctx, now.Add(-of.Length), now, of.step)
			return timelineOf(spans, of.step), err
		}}
		p.trends[of.Name] = &cached[[]store.CopyHour]{life: 30 * time.Second, read: func(ctx context.Context) ([]store.CopyHour, error) {
			return p.records.CopyHours(ctx, p.opt.Now().Add(-of.Length))
		}}
	}
	p.mux.HandleFunc("GET /{$}", p.home)
	p.mux.HandleFunc("GET /farmer/{id}", p.farmer)
	p.mux.HandleFunc("GET /history", p.history)
	p.mux.HandleFunc("GET /map.json", p.mapJSON)
	p.mux.HandleFunc("GET "+AssetPrefix+"{file}", func(w http.ResponseWriter, r *http.Request) {
		if !p.assets.serve(w, r) {
			p.notFound(w, r)
		}
	})
	p.mux.HandleFunc("GET /", p.notFound)
	return p
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
		"place": knownPlace, "lasted": lasted,
	}).ParseFS(templateFiles, "templates/*.html"))
})

// frame is the data of every page. Body is the data of one kind of page.
type frame struct {
	Title    string
	Body     any
	At       time.Time // when the figures were read; zero if there are none
	Stale    bool      // the records cannot be read, so the page shows the last figures
	GeoLite2 bool
	Live     bool // the scripts fetch the page again every few seconds
	// Canonical is the shortest URL of the page, or "" if it is not set.
	Canonical string
}

// respond renders a template in the frame and sends it.
func (p *Page) respond(w http.ResponseWriter, r *http.Request, status int, name string, f frame, began time.Time) {
	f.GeoLite2 = p.opt.GeoLite2()
	var b bytes.Buffer
	if err := p.templates.ExecuteTemplate(&b, name, f); err != nil {
		// Only a mistake in a template causes this. The tests render all templates.
		p.opt.Log.Error("cannot render a page", "template", name, "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	p.send(w, r, status, "text/html; charset=utf-8", b.Bytes(), began)
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
	Notices  notices
	Uptimes  []uptimeOver
	Days     []farmerDay // newest first
	Strip    []stripDay
	Plots    []plot
	Events   []event // newest first
}

func (p *Page) farmer(w http.ResponseWriter, r *http.Request) {
	now := p.opt.Now()
	f, err := p.readFarmer(r.Context(), r.PathValue("id"), now)
	if errors.Is(err, store.ErrNotFound) {
		p.respondMessage(w, r, http.StatusNotFound, message{"No such farmer", "No farmer has this id. It may be mistyped, or the farmer was deleted."})
		return
	}
	if err != nil {
		p.away(w, r, err)
		return
	}
	faults := p.faults.get(r.Context(), now).value
	stated := p.statedAt(now)
	days := withFaults(f.days, faults.Recorded, now)
	p.respond(w, r, http.StatusOK, "farmer.html", frame{
		Title: "Farmer " + f.ID, At: now, Live: true,
		Body: farmerPage{
			rated: p.rate(f.Farmer, stated), StatedAt: stated, Notices: faults.notices(now), Uptimes: uptimesOf(f.days),
			Days: backwards(days), Strip: stripOf(days, now), Plots: farmerPlots(f.days),
			Events: eventsOf(f.events, faults.Recorded, now),
		},
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
	days   []node.Day
	events []node.Event
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
	f.events, err = p.records.FarmerEvents(ctx, id)
	return f, err
}

// historyPage is the data of the page that shows the plots' figures as a table.
type historyPage struct {
	Period  *period
	Periods []period
	Spans   []node.Span // newest first
}

func (p *Page) history(w http.ResponseWriter, r *http.Request) {
	began := p.opt.Now()
	of := periodNamed(r.URL.Query().Get("period"))
	found := p.histories[of.Name].get(r.Context(), began)
	if found.at.IsZero() {
		p.away(w, r, found.err)
		return
	}
	p.respond(w, r, http.StatusOK, "history.html", frame{
		Title: "History of " + of.Title, At: found.at, Stale: found.err != nil,
		Body: historyPage{Period: of, Periods: periods, Spans: backwards(found.value.Spans)},
	}, began)
}

// mapJSON responds with the circles of a zoom level. Each circle is a list: x, y,
// radius, whether a farmer is online, label and title.
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
	for _, c := range found.value.atZoom[zoom]() {
		rows = append(rows, []any{rounded(c.X), rounded(c.Y), rounded(c.Radius()), c.Online > 0, c.Label(), c.Title()})
	}
	body, err := json.Marshal(rows)
	if err != nil {
		p.away(w, r, err)
		return
	}
	p.send(w, r, http.StatusOK, "application/json", body, began)
}
