package page

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/roster"
)

func TestSelectionLinks(t *testing.T) {
	t.Parallel()
	for _, query := range []string{
		"", "sort=id", "dir=desc&sort=id", "sort=uptime", "sort=size", "dir=asc&sort=uptime", "dir=asc", "online=1", "q=1abc", "page=3",
		"dir=asc&online=1&page=12&period=30d&q=a+b&sort=heartbeats",
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		want := "/"
		if query != "" {
			want += "?" + query
		}
		if got := parseSelection(values).link(); got != want {
			t.Errorf("%q leads to %q", query, got)
		}
	}
	v := parseSelection(url.Values{"q": {strings.Repeat("x", 1000)}, "page": {"-3"}, "sort": {"secret"}})
	if len(v.Search) != searchLength || v.Page != 0 || v.Sort != defaultSort || !v.Desc {
		t.Errorf("invalid values are parsed as %+v", v)
	}
	if twice := v.sortedBy(roster.ByID).sortedBy(roster.ByID); !twice.Desc || v.sortedBy(roster.ByID).Desc {
		t.Error("a second click does not reverse the order")
	}
}

// FuzzSelection checks that the link of a selection is parsed as the same selection.
func FuzzSelection(f *testing.F) {
	f.Add("sort=id&dir=desc&online=1&page=7&q=1abc&period=1y")
	f.Add("q=" + strings.Repeat("%20", 70) + "x&page=99999999&sort=q")
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		v := parseSelection(values)
		short, err := url.Parse(v.link())
		if err != nil || short.Path != "/" {
			t.Fatalf("%q leads to %q: %v", query, v.link(), err)
		}
		if again := parseSelection(short.Query()); again != v {
			t.Errorf("%q is %+v, and %q is %+v", query, v, short, again)
		}
		if v.Page < 0 || v.Page >= lastPage || len(v.Search) > searchLength {
			t.Errorf("%q exceeds the limits: %+v", query, v)
		}
	})
}

func TestFormats(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0: "0", 5: "5", 0.25: "0.3", 9.96: "10", 950: "950", 1234: "1.2k", 10_999: "10k", 34_000: "34k", 5_600_000: "5.6M", 2e9: "2G"} {
		if got := inCounts.format(v); got != want {
			t.Errorf("%v is written as %q, want %q", v, got, want)
		}
	}
	for v, want := range map[float64]float64{0: 2, 1: 2, 2: 2, 3: 4, 5: 10, 11: 20, 399: 400, 401: 1000} {
		if got := roundUp(v); got != want {
			t.Errorf("the step above %v is %v, want %v", v, got, want)
		}
	}
}

// Each text of a track must be true, however it is rounded.
func TestTracks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		score node.Score
		want  [4]string
	}{
		{node.Score{Estimate: 0.99999, Lower: 0.99299, Upper: 0.99801, Weight: 2345.9}, [4]string{"99.9 %", "99.2 %", "99.9 %", "2,345 intervals"}},
		{node.Score{Estimate: 1, Lower: 0.20654, Upper: 1, Weight: 1}, [4]string{"100.0 %", "20.6 %", "100.0 %", "one interval"}},
		{node.Score{Upper: 0.00001, Weight: 0.9}, [4]string{"0.0 %", "0.0 %", "0.1 %", "less than one interval"}},
	} {
		of := track{Score: test.score}
		if got := [4]string{of.Share(), of.From(), of.To(), of.Intervals()}; got != test.want {
			t.Errorf("%+v: %q, want %q", test.score, got, test.want)
		}
	}
}

// The labels of an axis must be short and must differ from each other.
func TestAxes(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 1, 1, 22, 10, 0, 0, time.UTC)
	for long, want := range map[time.Duration][2]string{
		time.Minute:         {"22:10", "22:11"},
		24 * time.Hour:      {"1 Jan, 22:10", "2 Jan, 22:10"},
		30 * 24 * time.Hour: {"1 Jan", "31 Jan"},
	} {
		p := plot{Unit: inCounts}
		p.add(from, 1)
		p.add(from.Add(long), 2)
		if got := p.Ends(); got != want {
			t.Errorf("over %v: %q, want %q", long, got, want)
		}
	}
	for most, want := range map[float64][2]string{
		0: {"1 B", "2 B"}, 300: {"200 B", "400 B"}, 401: {"512 B", "1.0 KiB"}, 1000 << 10: {"512 KiB", "1.0 MiB"}, 1 << 30: {"1.0 GiB", "2.0 GiB"},
	} {
		p := plot{Unit: inBytes}
		p.add(from, most)
		if rows := p.Rows(); rows[1].Label != want[0] || rows[2].Label != want[1] {
			t.Errorf("up to %v bytes: %v, want %v", most, rows, want)
		}
	}
}

// The expected points come from the authors' reference implementation, for a sphere
// of radius 1. They are the poles, the centre and the east end of the equator.
func TestEqualEarth(t *testing.T) {
	t.Parallel()
	for _, p := range []struct{ lat, lon, x, y float64 }{
		{0, 0, 0, 0}, {0, 180, 2.706629983, 0}, {90, 0, 0, 1.317362759}, {-90, 0, 0, -1.317362759},
	} {
		x, y := equalEarth(p.lat, p.lon)
		if math.Abs(x-p.x) > 1e-6 || math.Abs(y-p.y) > 1e-6 {
			t.Errorf("(%v, %v) is at (%v, %v), want (%v, %v)", p.lat, p.lon, x, y, p.x, p.y)
		}
	}
	// The projection keeps areas in proportion. So the ratio of a square degree in the
	// north to a square degree at the equator must be the same as on the sphere.
	area := func(lat float64) float64 {
		west, south := equalEarth(lat-0.5, 0)
		east, _ := equalEarth(lat-0.5, 1)
		west2, north := equalEarth(lat+0.5, 0)
		east2, _ := equalEarth(lat+0.5, 1)
		return (east - west + east2 - west2) / 2 * (north - south)
	}
	if got, want := area(60)/area(0), math.Cos(60*math.Pi/180); math.Abs(got-want) > 1e-4 {
		t.Errorf("a square degree at 60 degrees north has %v of the area at the equator, want %v", got, want)
	}
}

func TestClusters(t *testing.T) {
	t.Parallel()
	berlin := node.Place{Lat: 52.5, Lon: 13.4, Country: "Germany", City: "Berlin", Farmers: 9, Online: 7}
	potsdam := node.Place{Lat: 52.4, Lon: 13.0, Country: "Germany", City: "Potsdam", Farmers: 3, Online: 3}
	sydney := node.Place{Lat: -33.9, Lon: 151.2, Country: "Australia", Farmers: 1}
	found := clustersOf([]node.Place{sydney, potsdam, berlin}, 0)
	if len(found) != 2 {
		t.Fatalf("%d clusters, want 2", len(found))
	}
	if got, want := found[0].Title(), "Berlin, Germany and one place nearby: 12 farmers, 10 online"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := found[1].Title(), "Australia: 1 farmer, offline"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if x, y := project(berlin.Lat, berlin.Lon); found[0].X != x || found[0].Y != y {
		t.Errorf("the cluster is at (%v, %v), want (%v, %v)", found[0].X, found[0].Y, x, y)
	}
	if near := clustersOf([]node.Place{sydney, potsdam, berlin}, maxZoom); len(near) != 3 {
		t.Errorf("%d clusters at the highest zoom level, want 3", len(near))
	}
}

// The style sheet must contain the map's aspect ratio. Otherwise the layout moves when
// the map loads.
func TestMapShape(t *testing.T) {
	t.Parallel()
	style, err := os.ReadFile("assets/page.css")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("aspect-ratio: %v / %v;", mapWidth, mapHeight); !strings.Contains(string(style), want) {
		t.Errorf("the style sheet does not contain %q", want)
	}
}

func TestOutline(t *testing.T) {
	t.Parallel()
	// The first country is a square across the antimeridian. It has two arcs, and one
	// of them is reversed. The second country is Antarctica.
	outline, err := outlineOf([]byte(`{"type": "Topology", "transform": {"scale": [1, 1], "translate": [0, 0]},
		"arcs": [[[170, 10], [20, 0]], [[170, 10], [0, -20], [-340, 0], [0, 20]]],
		"objects": {"countries": {"geometries": [{"type": "Polygon", "arcs": [[0, -2]], "id": "242"}, {"type": "MultiPolygon", "arcs": [[[0]]], "id": "010"}]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	// The map leaves out Antarctica, so the outline has one ring, the square. The ring
	// starts at 170 degrees east and goes 20 degrees to the east, then south, then west.
	x, y := project(10, 170)
	east, _ := project(10, 190)
	_, south := project(-10, 170)
	units := func(v float64) int { return int(math.Round(outlineScale * v)) }
	width, height := units(east)-units(x), units(south)-units(y)
	want := fmt.Sprintf(`d="M%d %dl %d 0 0 %d-%d 0z"/></svg>`, units(x), units(y), width, height, width)
	if !strings.HasSuffix(string(outline), want) {
		t.Errorf("%s does not end with %s", outline, want)
	}
	if _, err := outlineOf([]byte(`{"objects": {"countries": {"geometries": [{"type": "Polygon", "arcs": 1}]}}}`)); err == nil {
		t.Error("a country without a border is accepted")
	}
}

func TestTimeline(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var spans []node.Span
	for i := range 1440 {
		spans = append(spans, node.Span{Start: from.Add(time.Duration(i) * time.Minute), Totals: node.Totals{Online: int64(i), Heartbeats: 2}})
	}
	all := timelineOf(spans, time.Minute)
	if all.Step != 10*time.Minute || len(all.Spans) != 144 {
		t.Fatalf("%d spans of %v", len(all.Spans), all.Step)
	}
	if s := all.Spans[1]; !s.Start.Equal(from.Add(10*time.Minute)) || s.Online != 19 || s.Heartbeats != 20 {
		t.Errorf("the second span is %+v", s)
	}
	plots := all.plots()
	if got := plots[3].value[5]; got != 120 {
		t.Errorf("%v heartbeats an hour, want 120", got)
	}
	if len(plots[3].value) != 143 {
		t.Error("the plot of a rate contains the span that has not ended")
	}
	if first := timelineOf(spans[3:], time.Minute).Spans[0]; !first.Start.Equal(from.Add(10 * time.Minute)) {
		t.Errorf("the timeline begins with an incomplete span: %+v", first)
	}
	if few := timelineOf(spans[:30], time.Minute); few.Step != time.Minute || len(few.Spans) != 30 {
		t.Errorf("few spans: %d of %v", len(few.Spans), few.Step)
	}
	if none := timelineOf(nil, time.Hour); len(none.Spans) != 0 || none.plots()[0].Drawn() {
		t.Error("a timeline without spans is drawn")
	}
}

func TestStrip(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 14, 15, 0, 0, 0, time.UTC)
	day := now.Truncate(24 * time.Hour)
	faults := []node.Fault{
		{Start: now.Add(-time.Minute)}, // open
		{Start: day.AddDate(0, 0, -1).Add(-10 * time.Minute), End: day.AddDate(0, 0, -1).Add(3 * time.Hour)},
		{Start: day.AddDate(0, 0, -4), End: day.AddDate(0, 0, -3)},
	}
	strip := stripOf(withFaults([]node.Day{
		{Start: day.AddDate(0, 0, -4)}, // the node had a fault all day
		{Start: day.AddDate(0, 0, -3), Possible: 1000},
		{Start: day.AddDate(0, 0, -2), Online: 500, Possible: 1000},
		{Start: day.AddDate(0, 0, -1), Online: 985, Possible: 1000},
		{Start: day, Online: 1000, Possible: 1000},
	}, faults, now), now)
	if len(strip) != stripLength {
		t.Fatalf("%d days", len(strip))
	}
	for i, want := range []string{"none", "none", "out", "poor", "fair", "good"} {
		if got := strip[stripLength-6+i]; got.Level != want {
			t.Errorf("%s is %q, want %q", got.Title, got.Level, want)
		}
	}
	for i, want := range []string{"no record", "not counted; the node had a fault for 24 h", "0.00 %", "50.00 %; the node had a fault for 10 min", "98.50 %; the node had a fault for 3 h", "100.00 %; the node had a fault for 60 s"} {
		got := strip[stripLength-6+i]
		if !strings.HasSuffix(got.Title, ": "+want) || got.Fault != strings.Contains(want, "fault") {
			t.Errorf("%q, %v; want %q", got.Title, got.Fault, want)
		}
	}
}

func TestAvailability(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 14, 15, 0, 0, 0, time.UTC)
	from := now.Add(-1000 * time.Second)
	ago := func(seconds int) time.Time { return now.Add(-time.Duration(seconds) * time.Second) }
	for _, test := range []struct {
		name    string
		faults  []node.Fault
		percent float64
		drawn   []shownFault
	}{
		{"none", nil, 100, nil},
		{"one before", []node.Fault{{Start: ago(1200), End: ago(1100)}}, 100, nil},
		{"one", []node.Fault{{Start: ago(900), End: ago(800)}}, 90, []shownFault{{X: 90, Width: 90, Lasted: "100 s"}}},
		{"one that began before", []node.Fault{{Start: ago(1100), End: ago(800)}}, 80, []shownFault{{X: 0, Width: 180, Lasted: "3 min"}}},
		{"an open one and another", []node.Fault{{Start: ago(100)}, {Start: ago(500), End: ago(400)}}, 80, []shownFault{{X: 810, Width: 90, Lasted: "100 s"}, {X: 450, Width: 90, Lasted: "100 s"}}},
		{"a short one", []node.Fault{{Start: now.Add(-10 * time.Millisecond)}}, 99.99, []shownFault{{X: 897, Width: 3, Lasted: "0 s"}}},
	} {
		a := availabilityOf(test.faults, from, now)
		if math.Abs(a.Percent-test.percent) > 1e-9 || len(a.Faults) != len(test.drawn) {
			t.Errorf("%s: %v, %+v", test.name, a.Percent, a.Faults)
			continue
		}
		for i, want := range test.drawn {
			if got := a.Faults[i]; math.Abs(got.X-want.X) > 0.01 || math.Abs(got.Width-want.Width) > 0.01 || got.Lasted != want.Lasted {
				t.Errorf("%s: fault %d is drawn at %v, %v wide, %q", test.name, i, got.X, got.Width, got.Lasted)
			}
		}
	}
	if availabilityOf(nil, now, now) != nil {
		t.Error("a node without a history has an availability")
	}
}

func TestCached(t *testing.T) {
	t.Parallel()
	var reads atomic.Int64
	fail := errors.New("away")
	var broken atomic.Bool
	k := &cached[int64]{life: time.Second, read: func(context.Context) (int64, error) {
		if broken.Load() {
			return 0, fail
		}
		return reads.Add(1), nil
	}}
	now := time.Unix(1000, 0)
	var visitors sync.WaitGroup
	for range 20 {
		visitors.Go(func() {
			if r := k.get(t.Context(), now); r.value != 1 || r.err != nil {
				t.Errorf("%+v", r)
			}
		})
	}
	visitors.Wait()
	if r := k.get(t.Context(), now.Add(2*time.Second)); r.value != 2 {
		t.Errorf("after a second: %+v", r)
	}
	broken.Store(true)
	r := k.get(t.Context(), now.Add(time.Minute))
	if r.value != 2 || !errors.Is(r.err, fail) || !r.at.Equal(now.Add(2*time.Second)) {
		t.Errorf("while the read fails: %+v", r)
	}
	if again := k.get(t.Context(), now.Add(time.Minute+time.Second/2)); again != r {
		t.Error("every visitor repeats a failed read")
	}
}

// During a slow read, visitors get the previous value without waiting.
func TestCachedDuringRead(t *testing.T) {
	t.Parallel()
	reading, finish := make(chan struct{}), make(chan struct{})
	first := true
	k := &cached[int]{life: time.Second, read: func(context.Context) (int, error) {
		if first {
			first = false
			return 1, nil
		}
		close(reading)
		<-finish
		return 2, nil
	}}
	now := time.Unix(1000, 0)
	k.get(t.Context(), now)
	done := make(chan int)
	go func() { done <- k.get(t.Context(), now.Add(2*time.Second)).value }()
	<-reading
	if got := k.get(t.Context(), now.Add(2*time.Second)).value; got != 1 {
		t.Errorf("during the read: %d", got)
	}
	close(finish)
	if got := <-done; got != 2 {
		t.Errorf("after the read: %d", got)
	}
}
