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
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// Paths are where the page answers, for a router that knows variables.
var Paths = []string{"/", "/farmer/{id}", "/history", "/map.json", AssetPrefix + "{file}"}

// AssetPrefix is what the addresses of what never changes begin with.
const AssetPrefix = "/assets/"

// Options say what a page needs to know beside its records. Log must be set.
type Options struct {
	// GeoLite2 says whether locations come from a GeoLite2 database, whose
	// licence asks that it be named. Nil means no.
	GeoLite2 func() bool
	Log      *slog.Logger
	Now      func() time.Time // nil means time.Now
}

// Page answers visitors.
type Page struct {
	records   Records
	opt       Options
	assets    *assets
	templates *template.Template
	mux       *http.ServeMux
	slots     chan struct{} // a place for each visitor being answered

	figures   kept[figures]
	histories map[string]*kept[timeline] // by the name of their period
}

//go:embed templates
var templateFiles embed.FS

// New makes a page of the records.
func New(records Records, opt Options) (*Page, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.GeoLite2 == nil {
		opt.GeoLite2 = func() bool { return false }
	}
	loaded, err := loadAssets()
	if err != nil {
		return nil, err
	}
	p := &Page{records: records, opt: opt, assets: loaded, mux: http.NewServeMux(), slots: make(chan struct{}, atOnce)}
	p.templates, err = template.New("").Funcs(p.functions()).ParseFS(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	p.figures = kept[figures]{life: 5 * time.Second, read: p.readFigures}
	p.histories = map[string]*kept[timeline]{}
	for _, of := range periods {
		p.histories[of.Name] = &kept[timeline]{life: 30 * time.Second, read: func(ctx context.Context) (timeline, error) {
			return p.readHistory(ctx, of)
		}}
	}
	p.mux.HandleFunc("GET /{$}", p.home)
	p.mux.HandleFunc("GET /farmer/{id}", p.farmer)
	p.mux.HandleFunc("GET /history", p.history)
	p.mux.HandleFunc("GET /map.json", p.mapJSON)
	p.mux.HandleFunc("GET "+AssetPrefix+"{file}", func(w http.ResponseWriter, r *http.Request) {
		if !p.assets.serve(w, r) {
			p.NotFound(w, r)
		}
	})
	p.mux.HandleFunc("GET /", p.NotFound)
	return p, nil
}

var _ http.Handler = (*Page)(nil)

// atOnce is how many visitors are answered at once. Those who look must not
// take the places of those who farm, least of all while the records are slow.
const atOnce = 32

func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
		p.mux.ServeHTTP(w, r)
	default:
		p.Busy(w, r, 3*time.Second)
	}
}

func (p *Page) functions() template.FuncMap {
	return template.FuncMap{
		"asset": p.assets.url, "grouped": grouped, "size": size, "percent": percent,
		"moment": moment, "clock": clock, "date": date, "machine": machine, "decimal": decimal,
		"farmersIn": farmersIn,
	}
}

// frame is what every page has around what it is about.
type frame struct {
	Title    string
	Body     any
	At       time.Time // of the figures; zero on a page without
	Stale    bool      // the records are away, and these are the last figures known
	GeoLite2 bool
	Live     bool // worth being fetched again
	// Canonical is the shortest address of what is shown, or "".
	Canonical string
}

// answer renders a template in the frame and sends it.
func (p *Page) answer(w http.ResponseWriter, r *http.Request, status int, name string, f frame, began time.Time) {
	f.GeoLite2 = p.opt.GeoLite2()
	var b bytes.Buffer
	if err := p.templates.ExecuteTemplate(&b, name, f); err != nil {
		// A template that fails is a mistake in it: the tests render them all.
		p.opt.Log.Error("rendering a page", "template", name, "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	send(w, r, status, "text/html; charset=utf-8", b.Bytes(), began)
}

// message is a page that says one thing.
type message struct{ Heading, Text string }

// NotFound answers for an address that leads nowhere.
func (p *Page) NotFound(w http.ResponseWriter, r *http.Request) {
	p.say(w, r, http.StatusNotFound, message{"There is nothing here", "The address may be mistyped, or what was there is gone."})
}

// Busy answers a visitor who asks too often.
func (p *Page) Busy(w http.ResponseWriter, r *http.Request, wait time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
	p.say(w, r, http.StatusServiceUnavailable, message{"A little slower, please", "Many pages are being asked for. Come again in a few seconds."})
}

// away answers while the records cannot be read.
func (p *Page) away(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() == nil {
		p.opt.Log.Warn("the page cannot read the records", "error", err)
	}
	w.Header().Set("Retry-After", "5")
	p.say(w, r, http.StatusServiceUnavailable, message{"The records cannot be read just now", "The node's database does not answer. Farmers keep what they have proved; this page comes back by itself when the database does."})
}

func (p *Page) say(w http.ResponseWriter, r *http.Request, status int, m message) {
	p.answer(w, r, status, "message.html", frame{Title: m.Heading, Body: m, Live: status == http.StatusServiceUnavailable}, p.opt.Now())
}

// farmerPage is what a farmer's page shows.
type farmerPage struct {
	Farmer
	Days  []node.Day // newest first
	Strip []stripDay
	Plots []plot
	Now   time.Time
}

func (p *Page) farmer(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	f, err := p.records.Show(r.Context(), r.PathValue("id"))
	if errors.Is(err, ErrNotFound) {
		p.say(w, r, http.StatusNotFound, message{"No such farmer", "No farmer has this id. It may be mistyped, or the farmer is gone."})
		return
	}
	if err != nil {
		p.away(w, r, err)
		return
	}
	days, err := p.records.Days(r.Context(), f.ID, stripLength)
	if err != nil {
		p.away(w, r, err)
		return
	}
	now := p.opt.Now()
	p.answer(w, r, http.StatusOK, "farmer.html", frame{
		Title: "Farmer " + f.ID, At: now, Live: true,
		Body: farmerPage{Farmer: f, Days: backwards(days), Strip: stripOf(days, now), Plots: farmerPlots(days), Now: now},
	}, began)
}

// historyPage is the plots' figures as a table.
type historyPage struct {
	Period  period
	Periods []period
	Spans   []node.Span // newest first
}

func (p *Page) history(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	of := periodNamed(parseView(r.URL.Query()).Period)
	found := p.histories[of.Name].get(r.Context(), p.opt.Now())
	if found.at.IsZero() {
		p.away(w, r, found.err)
		return
	}
	p.answer(w, r, http.StatusOK, "history.html", frame{
		Title: "History of " + of.Title, At: found.at, Stale: found.err != nil,
		Body: historyPage{Period: *of, Periods: periods, Spans: backwards(found.value.Spans)},
	}, began)
}

// mapJSON tells where to draw circles at a zoom: per circle its place on the
// map, radius, farmers, label and title.
func (p *Page) mapJSON(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	zoom, err := strconv.Atoi(r.URL.Query().Get("zoom"))
	if err != nil || zoom < minZoom || zoom > maxZoom {
		p.NotFound(w, r)
		return
	}
	found := p.figures.get(r.Context(), p.opt.Now())
	if found.at.IsZero() {
		p.away(w, r, found.err)
		return
	}
	rows := [][]any{}
	for _, c := range found.value.clusters(zoom) {
		rows = append(rows, []any{rounded(c.X), rounded(c.Y), rounded(c.Radius()), c.Online > 0, c.Label(), c.Title()})
	}
	body, err := json.Marshal(rows)
	if err != nil {
		p.away(w, r, err)
		return
	}
	send(w, r, http.StatusOK, "application/json", body, began)
}
