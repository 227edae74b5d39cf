//go:build browser

package browser

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/driveshare/downstream-node/apiserver/page/pagetest"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/roster"
)

const spots = "document.querySelectorAll('#map .leaflet-marker-icon')"

func TestTotals(t *testing.T) {
	t.Parallel()
	s := serve(t, 2345)
	v := open(t, s.url, desktop)
	view, err := s.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	is(v, "document.querySelector('.totals dd').textContent", "2,345")
	if got := ask[string](v, "document.querySelector('.totals .now dd').textContent"); strings.ReplaceAll(got, ",", "") != fmt.Sprint(view.Summary().Online) {
		t.Errorf("%s farmers are online, want %d", got, view.Summary().Online)
	}
	is(v, "document.querySelector('footer').textContent.includes('This product includes GeoLite2 data created by MaxMind, available from https://www.maxmind.com')", true)
	is(v, "document.documentElement.outerHTML.includes('ip_hash')", false)
}

func TestMap(t *testing.T) {
	t.Parallel()
	v := open(t, serve(t, 3000).url, desktop)
	v.ready()
	before := ask[int](v, spots+".length")
	most := ask[string](v, "[..."+spots+"].map((s) => s.textContent).sort((a, b) => b - a)[0]")
	if before < 20 || most == "" {
		t.Fatalf("the map has %d spots, the largest with %q farmers", before, most)
	}
	// The map shows land, and the land has a plausible width.
	is(v, "document.querySelector('#map .land').getBBox().width > 9000", true)
	// A spot has a label, and a click zooms in.
	ask[any](v, "[..."+spots+"].find((s) => s.textContent === '"+most+"').setAttribute('id', 'largest')"+"; null")
	v.do(chromedp.Click("#largest"))
	v.until("document.querySelector('#map .leaflet-tooltip')?.textContent.includes('farmers')")
	v.until("document.querySelector('#map.near') && " + spots + ".length > " + fmt.Sprint(before))
	// Zooming out ends at the whole map.
	for range 4 {
		v.do(chromedp.Click("#map .leaflet-control-zoom-out"), chromedp.Sleep(300*time.Millisecond))
	}
	v.until("!document.querySelector('#map.near') && " + spots + ".length === " + fmt.Sprint(before))
}

func TestPlots(t *testing.T) {
	t.Parallel()
	v := open(t, serve(t, 200).url, desktop)
	v.ready()
	is(v, "document.querySelectorAll('figure.plot').length", 7)
	// Each plot has a drawing.
	is(v, `[...document.querySelectorAll('[data-plot] canvas')].every((c) => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((b) => b))`, true)
	// The pointer shows a value and its time.
	latest := ask[string](v, "document.querySelector('.reading b').textContent")
	box := ask[[]float64](v, "(() => { scrollTo(0, 0); document.querySelector('.u-over').scrollIntoView({ block: 'center' }); const r = document.querySelector('.u-over').getBoundingClientRect(); return [r.x + 20, r.y + 20]; })()")
	v.do(chromedp.MouseEvent("mouseMoved", box[0], box[1]))
	v.until("/\\d\\d:\\d\\d/.test(document.querySelector('.when').textContent)")
	v.do(chromedp.MouseEvent("mouseMoved", 2, 2))
	v.until("document.querySelector('.when').textContent === '' && document.querySelector('.reading b').textContent === '" + latest + "'")
	// Another period gives another plot. The visitor can share its address.
	points := ask[string](v, "document.querySelector('[data-plot]').dataset.points")
	v.do(chromedp.Click(".choices li:nth-child(3) a"))
	v.until("location.search === '?period=30d' && document.querySelector('.choices [aria-current]').textContent === '30 days'")
	if ask[string](v, "document.querySelector('[data-plot]').dataset.points") == points {
		t.Error("the plot of 30 days equals the plot of 24 hours")
	}
	// The data of a plot is available as a table.
	v.do(chromedp.Click(".aside a"), chromedp.WaitVisible("table.figures"))
	is(v, "document.querySelectorAll('table.figures tbody tr').length > 100", true)
}

// The strip of the node's availability is drawn, and a fault that begins appears.
func TestAvailability(t *testing.T) {
	t.Parallel()
	s := serve(t, 60)
	v := open(t, s.url+"/?period=30d", desktop)
	v.ready()
	is(v, "document.querySelectorAll('.band .fault').length", 2)
	is(v, "document.querySelectorAll('.faults li').length", 2)
	is(v, "document.querySelector('.band .fault title').textContent", "14 Mar 2026, 08:09 UTC, 9 min: no process could judge proofs")
	// A short fault is visible, and has another colour than the rest.
	is(v, "document.querySelector('.band .fault').getBoundingClientRect().width >= 2", true)
	is(v, "getComputedStyle(document.querySelector('.band .fault')).fill !== getComputedStyle(document.querySelector('.band .able')).fill", true)
	is(v, "document.getElementById('fault')", any(nil))
	s.SetFaults(node.Fault{Start: pagetest.Now, Evidence: "no process could take proofs"})
	v.until("document.getElementById('fault')?.textContent.includes('no process could take proofs')")
	v.until("document.querySelectorAll('.band .fault').length === 1")
	s.SetFaults()
	v.until("!document.getElementById('fault') && !document.querySelector('.band .fault')")

	// A farmer's page marks the days with faults.
	farmer := open(t, serve(t, 60).url+"/farmer/"+firstID(s), desktop)
	is(farmer, "document.querySelectorAll('.strip svg .fault').length", 2)
}

func TestFarmerPage(t *testing.T) {
	t.Parallel()
	s := serve(t, 120)
	v := open(t, s.url, desktop)
	v.ready()
	is(v, "[...document.querySelectorAll('table.farmers .standing')].every((s) => s.textContent !== 'good')", true)
	id := v.column(ids)[3]
	score := v.column(".score")[3]
	v.do(chromedp.Click("tr[data-key='"+id+"'] a"), chromedp.WaitVisible(".strip"))
	is(v, "location.pathname", "/farmer/"+id)
	f, err := s.Farmer(t.Context(), id, pagetest.Now)
	if err != nil {
		t.Fatal(err)
	}
	is(v, "document.querySelector('h1').textContent", id)
	is(v, "document.querySelector('.byline .address').textContent", f.Address)
	is(v, "document.querySelector('.totals dd').textContent", score)
	is(v, "document.querySelectorAll('.tracks dd').length", 2)
	is(v, "document.querySelectorAll('.events tbody tr').length", 14)
	is(v, "document.querySelectorAll('.totals dd')[1].textContent", fmt.Sprintf("%.2f %%", f.Uptime.Percent(pagetest.Now)))
	is(v, "document.querySelector('.facts').textContent.includes('"+f.Location.City+"')", true)
	for i, want := range []time.Time{f.ProvenSince, f.LastHeartbeat, f.LastDue} {
		is(v, fmt.Sprintf("document.querySelectorAll('.facts time')[%d].dateTime", i), want.UTC().Format(time.RFC3339))
	}
	is(v, "document.querySelectorAll('.day').length", 90)
	is(v, "document.querySelectorAll('.day.none').length", 20)
	is(v, "document.querySelectorAll('.day:not(.none) title').length", 70)
	v.until("document.querySelectorAll('.plot canvas').length === 3")
	v.do(chromedp.Click("summary"))
	is(v, "document.querySelectorAll('details[open] tbody tr').length", 70)
	ask[any](v, "setTimeout(() => history.back()); null")
	v.until("location.pathname === '/' && " + spots + ".length > 0")

	v.tolerate("404")
	v.do(chromedp.Navigate(s.url + "/farmer/00000000000000000000"))
	is(v, "document.querySelector('h1').textContent", "No such farmer")
}

// A farmer's page shows at once that the farmer is suspended, and that the suspension has ended.
func TestSuspension(t *testing.T) {
	t.Parallel()
	s := serve(t, 60)
	suspend(s, node.Suspension{Since: pagetest.Now, By: node.ByOperator, Reason: "sends <wrong> proofs"})
	v := open(t, s.url+"/farmer/"+firstID(s), desktop)
	v.until("document.getElementById('suspension')?.textContent.includes('sends <wrong> proofs')")
	is(v, "document.querySelector('.byline .standing').textContent", "suspended")
	suspend(s, node.Suspension{})
	v.until("!document.getElementById('suspension') && !document.querySelector('.byline .standing')")
}

// suspend sets the suspension of all farmers.
func suspend(s *site, to node.Suspension) {
	s.Change(func(farmers []node.Farmer) []node.Farmer {
		for i := range farmers {
			farmers[i].Suspension = to
		}
		return farmers
	})
}

// A live update changes the values in place, and nothing else.
func TestLiveUpdate(t *testing.T) {
	t.Parallel()
	s := serve(t, 120)
	v := open(t, s.url+"/?sort=id", desktop)
	v.ready()
	id := v.column(ids)[1]
	row := "document.querySelector('tr[data-key=\"" + id + "\"]')"
	v.do(chromedp.Focus("tr[data-key='" + id + "'] a"))
	ask[any](v, row+".marked = true; scrollTo(0, 1100); document.querySelector('#map').marked = true; null")
	s.Change(func(farmers []node.Farmer) []node.Farmer {
		for i := range farmers {
			if farmers[i].ID == id {
				farmers[i].Heartbeats = 987_654_321
			}
		}
		return farmers[:119]
	})
	v.until("document.querySelector('.totals dd').textContent === '119'")
	v.until(row + ".textContent.includes('987,654,321')")
	is(v, row+".marked", true)
	is(v, row+".contains(document.activeElement)", true)
	is(v, "document.querySelector('#map').marked && "+spots+".length > 5", true)
	is(v, "scrollY", 1100)
	is(v, "document.getElementById('told').textContent", "") // a screen reader announces nothing

	// The records become unavailable, and then available again.
	s.SetAway(true)
	v.until("document.querySelector('.notice:not([hidden])')?.textContent.includes('cannot read its records')")
	is(v, "document.querySelector('.totals dd').textContent", "119")
	s.SetAway(false)
	v.until("!document.querySelector('.notice:not([hidden])')")
}

func TestEmptyAndAway(t *testing.T) {
	t.Parallel()
	s := serve(t, 0)
	v := open(t, s.url, desktop)
	is(v, "document.querySelector('.empty h2').textContent", "This node has no farmers yet")
	is(v, "document.querySelector('.empty code').textContent.includes('downstream-node farm "+s.url+" ')", true)
	s.Change(func([]node.Farmer) []node.Farmer {
		return pagetest.New(3).List(roster.Query{})
	})
	v.until("document.querySelectorAll('table.farmers tbody tr').length === 3")
	v.until(spots + ".length > 0") // the first farmers appear on the map

	away := serve(t, 10)
	away.SetAway(true)
	lost := open(t, "about:blank", desktop)
	lost.host = strings.TrimPrefix(away.url, "http://")
	lost.tolerate("503")
	lost.do(chromedp.Navigate(away.url))
	is(lost, "document.querySelector('h1').textContent", "The records cannot be read at the moment")
	away.SetAway(false)
	lost.until("document.querySelectorAll('table.farmers tbody tr').length === 10")
}
