//go:build browser

package browser

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
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
	checkCircles(v)
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
	checkCircles(v)
	// Zooming out ends at the whole map.
	for range 4 {
		v.do(chromedp.Click("#map .leaflet-control-zoom-out"), chromedp.Sleep(300*time.Millisecond))
	}
	v.until("!document.querySelector('#map.near') && " + spots + ".length === " + fmt.Sprint(before))
}

// checkCircles checks that the circles of the map have the scale of the legend, and that their labels fit.
func checkCircles(v *visit) {
	v.t.Helper()
	v.until("document.querySelector('#map .leaflet-marker-icon') && !document.querySelector('#map.leaflet-zoom-anim')")
	// The legend has the radius of a number of farmers.
	perRoot := ask[float64](v, "(() => { const all = [...document.querySelectorAll('.legend .spot')].at(-1); return all.querySelector('circle').getBoundingClientRect().width / 2 / Math.sqrt(Number(all.querySelector('text').textContent.replaceAll(',', ''))); })()")
	for _, c := range ask[[][3]float64](v, "[..."+spots+"].filter((s) => /^\\d+$/.test(s.textContent)).map((s) => [Number(s.textContent), s.getBoundingClientRect().width / 2, s.querySelector('b').getBoundingClientRect().width])") {
		if want := perRoot * math.Sqrt(c[0]); math.Abs(c[1]-want) > 0.03*want+0.5 {
			v.t.Errorf("the circle of %v farmers has the radius %.1f, want %.1f as in the legend", c[0], c[1], want)
		}
		if c[2] > 2*c[1] {
			v.t.Errorf("the label of %v farmers is %.1f wide, and its circle %.1f", c[0], c[2], 2*c[1])
		}
	}
}

// The first line says whether all is well, and changes when that changes.
func TestHealth(t *testing.T) {
	t.Parallel()
	s := serve(t, 300)
	v := open(t, s.url, desktop)
	v.ready()
	is(v, "/^All well: \\d+ of 300 farmers online \\(\\d\\d %\\), 99.\\d\\d % of proofs right in 24 h.$/.test(document.getElementById('health').textContent)", true)
	is(v, "document.querySelector('main').querySelector('.health, h1, section').id", "health")
	is(v, "document.querySelector('.totals .right small').textContent.endsWith('the day before')", true)
	is(v, "/^\\d/.test(document.querySelector('.totals .gone dd').textContent)", true)
	is(v, "document.getElementById('node').textContent.includes('operator@example.org')", true)
	is(v, "document.getElementById('node').textContent.includes('5.0 GiB in 1,234 files')", true)
	s.SetFaults(node.Fault{Start: pagetest.Now, Evidence: "no process could take proofs"})
	v.until("document.getElementById('health').textContent.startsWith('Not all is well: the node has had a fault since 14 Mar 2026, 15:09 UTC')")
	is(v, "document.querySelector('.health.ill') !== null", true)
}

// Visitors in another time zone see their own time too, also after an update.
func TestLocalTime(t *testing.T) {
	t.Parallel()
	s := serve(t, 60)
	v := open(t, "about:blank", desktop)
	v.host = strings.TrimPrefix(s.url, "http://")
	v.do(call(emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Asia/Tokyo"}), chromedp.Navigate(s.url))
	v.ready()
	is(v, "document.querySelector('.faults time').textContent", "14 Mar 2026, 08:09 UTC (17:09 local)")
	is(v, "document.querySelector('.faults li:last-child time').title.endsWith('in your time zone')", true)
	s.Change(func(farmers []node.Farmer) []node.Farmer { return farmers[:10] })
	v.until("document.querySelector('.totals dd').textContent === '10'")
	is(v, "document.querySelector('.faults time').textContent", "14 Mar 2026, 08:09 UTC (17:09 local)")
	here := open(t, s.url, desktop) // the tests run in UTC
	here.ready()
	is(here, "document.querySelector('.faults time').textContent", "14 Mar 2026, 08:09 UTC")
}

// A node of an hour has the same time axis as any other, and wrong proofs are red.
func TestYoungNode(t *testing.T) {
	t.Parallel()
	s := serve(t, 60)
	s.SetAge(time.Hour)
	v := open(t, s.url, desktop)
	v.ready()
	is(v, "(() => { const { from, to } = document.querySelector('[data-plot]').dataset; return to - from; })()", 86400)
	v.tolerate("willReadFrequently") // this test reads the canvas
	// The drawing is at the right end of the plot only.
	drawn := ask[[]bool](v, "(() => { const c = document.querySelector('[data-plot] canvas'); const x = (share) => Math.round(c.width * share); const any = (from, to) => { const data = c.getContext('2d').getImageData(x(from), 0, x(to) - x(from), Math.round(c.height * 0.3)).data; return data.some((b) => b); }; const d = (from, to) => { const data = c.getContext('2d').getImageData(x(from), Math.round(c.height * 0.35), x(to) - x(from), 4).data; let n = 0; for (let i = 3; i < data.length; i += 4) n += data[i] > 0; return n / (data.length / 4); }; return [any(0.92, 0.95), d(0.3, 0.8) > 0.5]; })()")
	if !drawn[0] || drawn[1] {
		t.Errorf("drawn at the right end: %v, drawn before the node began: %v", drawn[0], drawn[1])
	}
	is(v, "document.querySelectorAll('.plot')[3].querySelector('.name').textContent", "Right proofs in a minute")
	is(v, "document.querySelectorAll('.plot.bad').length", 3)
	is(v, "(() => { const colour = (p) => getComputedStyle(p).getPropertyValue('--accent'); return colour(document.querySelector('.plot.bad')) !== colour(document.querySelector('.plot')); })()", true)
}

// What the page, its plots and its table say about now is equal.
func TestOneTruth(t *testing.T) {
	t.Parallel()
	v := open(t, serve(t, 200).url, desktop)
	v.ready()
	for i, name := range []string{"Farmers online", "Contracts", "Stored"} {
		is(v, fmt.Sprintf("document.querySelectorAll('.plot')[%d].querySelector('b').textContent === [...document.querySelectorAll('.totals > div')][%d].querySelector('dd').textContent", i, i+1), true)
		is(v, fmt.Sprintf("document.querySelectorAll('.plot .name')[%d].textContent", i), name)
	}
	is(v, "document.getElementById('count').textContent.endsWith(' of ' + document.querySelector('.totals dd').textContent)", true)
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
	is(v, "[...document.querySelectorAll('.facts dd')].some((d) => /^(in \\d+ (seconds|minutes)|now|no contract since .*)$/.test(d.textContent))", true)
	is(v, "document.querySelectorAll('.kinds li').length", 5)
	// The strip is legible without colours: a better day has a higher bar.
	is(v, "new Set([...document.querySelectorAll('.day')].map((d) => d.classList[1] + d.getAttribute('height'))).size === new Set([...document.querySelectorAll('.day')].map((d) => d.classList[1])).size", true)
	is(v, "document.querySelectorAll('.events tbody tr').length", 14)
	is(v, "document.querySelectorAll('.totals dd')[1].textContent", fmt.Sprintf("%.2f %%", f.Uptime.Percent(pagetest.Now)))
	is(v, "document.querySelector('.facts').textContent.includes('"+f.Location.City+"')", true)
	for i, want := range []time.Time{f.ProvenSince, f.LastHeartbeat} {
		is(v, fmt.Sprintf("document.querySelectorAll('.facts time')[%d].dateTime", i), want.UTC().Format(time.RFC3339))
	}
	is(v, "document.querySelectorAll('.day').length", 90)
	is(v, "document.querySelectorAll('.day.none').length", 20)
	is(v, "document.querySelectorAll('.day:not(.none) title').length", 70)
	v.until("document.querySelectorAll('.plot canvas').length === 4")
	v.do(chromedp.Click("details > summary")) // the word alone also finds a <meta>
	is(v, "document.querySelectorAll('details[open] tbody tr').length", 70)
	s.Change(func(farmers []node.Farmer) []node.Farmer {
		for i := range farmers {
			farmers[i].Heartbeats++
		}
		return farmers
	})
	v.until(fmt.Sprintf("document.querySelectorAll('.totals dd')[2].textContent.replaceAll(',', '') === '%d'", f.Heartbeats+1))
	is(v, "document.querySelectorAll('details[open]').length", 1) // an update does not close it
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

	// The records become unavailable, and then available again. Strips that the browser has not loaded yet
	// stay empty.
	v.tolerate("/strip.svg")
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
