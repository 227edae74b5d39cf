package page

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"slices"
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
		"country=New+Zealand", "country=Chile&dir=asc&online=1&page=12&period=30d&q=a+b&sort=heartbeats", "dir=desc&sort=place", "sort=since",
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
	for v, want := range map[int64]string{0: "0", 5: "5", 999: "999", 1234: "1.2k", 1999: "1.9k", 10_999: "10k", 34_000: "34k", 5_600_000: "5.6M", 2e9: "2G"} {
		if got := short(v); got != want {
			t.Errorf("%v is written as %q, want %q", v, got, want)
		}
	}
	for v, want := range map[float64]string{10_564: "10,564", 999: "999"} {
		if got := inCounts.format(v); got != want {
			t.Errorf("%v is written as %q, want %q", v, got, want)
		}
	}
	for d, want := range map[time.Duration]string{time.Minute: "a minute", 10 * time.Minute: "10 minutes", time.Hour: "an hour", 6 * time.Hour: "6 hours", 24 * time.Hour: "a day", 48 * time.Hour: "2 days"} {
		if got := spanWords(d); got != want {
			t.Errorf("%v is written as %q, want %q", d, got, want)
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
		{node.Score{Estimate: 0.99999, Lower: 0.99299, Upper: 0.99801, Weight: 2345.9}, [4]string{"99.9 %", "99.2 %", "99.9 %", "2,346 intervals"}},
		{node.Score{Estimate: 1, Lower: 0.20654, Upper: 1, Weight: 1}, [4]string{"100.0 %", "20.6 %", "100.0 %", "1 interval"}},
		{node.Score{Upper: 0.00001, Weight: 0.9}, [4]string{"0.0 %", "0.0 %", "0.1 %", "less than one interval"}},
	} {
		of := track{Score: test.score}
		if got := [4]string{of.Share(), of.From(), of.To(), of.Intervals()}; got != test.want {
			t.Errorf("%+v: %q, want %q", test.score, got, test.want)
		}
	}
}

// The labels of an axis must be short and exact, and must differ from each other.
func TestAxes(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 1, 1, 22, 10, 0, 0, time.UTC)
	for long, want := range map[time.Duration][2]string{
		time.Minute:         {"22:10", "22:11"},
		24 * time.Hour:      {"1 Jan, 22:10", "2 Jan, 22:10"},
		30 * 24 * time.Hour: {"1 Jan", "31 Jan"},
	} {
		if got := (plot{From: from, To: from.Add(long)}).Ends(); got != want {
			t.Errorf("over %v: %q, want %q", long, got, want)
		}
	}
	for _, test := range []struct {
		unit unit
		most float64
		want string
	}{
		{inCounts, 0, "0 1"},
		{inCounts, 1, "0 1"},
		{inCounts, 4, "0 1 2 3 4"},
		{inCounts, 11, "0 5 10 15"},
		{inCounts, 401, "0 100 200 300 400 500"},
		{inCounts, 1100, "0 250 500 750 1k 1.25k"},
		{inCounts, 10_564, "0 2.5k 5k 7.5k 10k 12.5k"},
		{inCounts, 150_083, "0 50k 100k 150k 200k"},
		{inBytes, 0, "0 B|1 B"},
		{inBytes, 300, "0 B|100 B|200 B|300 B"},
		{inBytes, 1 << 30, "0 B|256 MiB|512 MiB|768 MiB|1 GiB"},
		{inBytes, 2.4 * (1 << 40), "0 B|512 GiB|1 TiB|1.5 TiB|2 TiB|2.5 TiB"},
		{inBytes, 999 * (1 << 20), "0 B|200 MiB|400 MiB|600 MiB|800 MiB|1000 MiB"},
	} {
		p := plot{Unit: test.unit, From: from, To: from.Add(time.Hour)}
		p.add(from, test.most)
		labels, separator := []string{}, " "
		if test.unit == inBytes {
			separator = "|"
		}
		for _, row := range p.Rows() {
			labels = append(labels, row.Label)
		}
		if got := strings.Join(labels, separator); got != test.want {
			t.Errorf("up to %v %s: %s, want %s", test.most, test.unit, got, test.want)
		}
	}
}

// A plot of a young node has the axis of the whole period.
func TestYoungNode(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	var spans []node.Span
	for i := range 61 {
		spans = append(spans, node.Span{Start: now.Add(time.Duration(i-60) * time.Minute), Totals: node.Totals{Online: 3, Heartbeats: 7}})
	}
	plots := timelineOf(spans, time.Minute).endingWith(node.Totals{Online: 2}).plots(&periods[0], now)
	online, right := plots[0], plots[3]
	if width := plotRight - plotLeft; math.Abs(online.x(0)-(plotRight-width*59/1440)) > 0.01 || online.x(60) != plotRight {
		t.Errorf("the hour is drawn from %v to %v", online.x(0), online.x(60))
	}
	if online.Latest() != "2" || online.value[59] != 3 {
		t.Errorf("the last values are %v", online.value[58:])
	}
	if right.Title != "Right proofs in a minute" || len(right.value) != 60 || slices.Max(right.value) != 7 {
		t.Errorf("%q has %d values up to %v", right.Title, len(right.value), slices.Max(right.value))
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	day := func(each node.Totals, last node.Totals) (spans []node.Span) {
		for at := now.Add(-24 * time.Hour); !at.After(now); at = at.Add(time.Minute) {
			s := node.Span{Start: at, Totals: each}
			if at.After(now.Add(-time.Hour)) {
				s.Totals = last
			}
			spans = append(spans, s)
		}
		return spans
	}
	good := node.Totals{Online: 90, Contracts: 500, Heartbeats: 100}
	all := node.Totals{Farmers: 100, Online: 90, Contracts: 500}
	hour := " since 2 Jan 2026, 11:01 UTC. "
	for name, test := range map[string]struct {
		totals node.Totals
		day    []node.Span
		fault  *node.Fault
		want   string
	}{
		"all well":            {all, day(good, good), nil, "All well: 90 of 100 farmers online (90 %), 100.00 % of proofs right in 24 h"},
		"one wrong proof":     {all, append(day(good, good), node.Span{Start: now, Totals: node.Totals{Online: 90, Wrong: 1}}), nil, "All well: 90 of 100 farmers online (90 %), 99.99 % of proofs right in 24 h"},
		"no farmers":          {node.Totals{}, nil, nil, "All well: 0 of 0 farmers online"},
		"a fault":             {all, day(good, good), &node.Fault{Start: now.Add(-59 * time.Minute)}, "Not all is well: the node has had a fault" + hour + "90 of 100 farmers online (90 %), 100.00 % of proofs right in 24 h"},
		"a suspicion":         {all, nil, &node.Fault{Start: now.Add(-59 * time.Minute), Cause: node.Unreachable}, "All well: 90 of 100 farmers online (90 %)"},
		"a maintenance":       {all, nil, &node.Fault{Start: now.Add(-59 * time.Minute), Planned: now}, "Not all is well: the node has been in maintenance" + hour + "90 of 100 farmers online (90 %)"},
		"many wrong proofs":   {all, day(good, node.Totals{Online: 90, Heartbeats: 50, Wrong: 50}), nil, "Not all is well: many proofs are wrong (2.09 % in 24 h)" + hour + "90 of 100 farmers online (90 %), 97.91 % of proofs right in 24 h"},
		"many lost contracts": {all, day(good, node.Totals{Online: 90, Expired: 2}), nil, "Not all is well: many contracts are lost (120 in 24 h)" + hour + "90 of 100 farmers online (90 %), 100.00 % of proofs right in 24 h"},
		"many farmers left":   {node.Totals{Farmers: 100, Online: 40}, day(good, node.Totals{Online: 40}), nil, "Not all is well: only 40 of 90 farmers have stayed online" + hour + "40 of 100 farmers online (40 %), 100.00 % of proofs right in 24 h"},
		"nobody is online":    {node.Totals{Farmers: 3}, day(node.Totals{Online: 3}, node.Totals{}), nil, "Not all is well: no farmer has been online" + hour + "0 of 3 farmers online (0 %)"},
	} {
		if got := healthOf(test.totals, lastDays{Today: countsOf(test.day, now)}, test.day, test.fault).Text(); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestChangeAgainstTheDayBefore(t *testing.T) {
	t.Parallel()
	before := dayCounts{Right: 9990, Wrong: 10, Lost: 5, Known: true}
	for _, test := range []struct {
		days          lastDays
		success, lost string
	}{
		{lastDays{dayCounts{Right: 10_000, Lost: 7}, before}, "+0.10 points since the day before", "2 more than the day before"},
		{lastDays{dayCounts{Right: 9980, Wrong: 20, Lost: 1}, before}, "-0.10 points since the day before", "4 fewer than the day before"},
		{lastDays{dayCounts{Right: 9990, Wrong: 10, Lost: 5}, before}, "as the day before", "as the day before"},
		{lastDays{dayCounts{Right: 1}, dayCounts{Right: 1, Lost: 1}}, "", ""}, // the record has a part of the day
	} {
		if got := test.days.SuccessChange(); got != test.success {
			t.Errorf("%+v: %q, want %q", test.days, got, test.success)
		}
		if got := test.days.LostChange(); got != test.lost {
			t.Errorf("%+v: %q, want %q", test.days, got, test.lost)
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
	// The area of a circle grows with the number of farmers, and has no limit.
	spots := spotsOf(found, 12)
	if spots[0].Label() != "12" || spots[1].Label() != "" {
		t.Errorf("the labels are %q and %q", spots[0].Label(), spots[1].Label())
	}
	for _, n := range []int64{20, 100, 1000, 100_000} {
		if got := radiusOf(4*n, 1000) / radiusOf(n, 1000); n*16 > 1000 && math.Abs(got-2) > 1e-9 {
			t.Errorf("the radius of %d farmers is %v times that of %d", 4*n, got, n)
		}
	}
	if got := spots[0].Inner * spots[0].Inner / (spots[0].Radius * spots[0].Radius); math.Abs(got-10.0/12) > 1e-9 {
		t.Errorf("the part that is online has %v of the area", got)
	}
	var legend []int64
	for _, s := range legendOf(671) {
		legend = append(legend, s.Farmers)
	}
	if want := []int64{10, 100, 500}; !slices.Equal(legend, want) {
		t.Errorf("the legend has %v, want %v", legend, want)
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
	plots := all.plots(&periods[0], from.Add(24*time.Hour))
	if got := plots[3].value[5]; got != 20 {
		t.Errorf("%v right proofs in 10 minutes, want 20", got)
	}
	if len(plots[3].value) != 143 {
		t.Error("the plot of events contains the span that has not ended")
	}
	if first := timelineOf(spans[3:], time.Minute).Spans[0]; !first.Start.Equal(from.Add(10 * time.Minute)) {
		t.Errorf("the timeline begins with an incomplete span: %+v", first)
	}
	if few := timelineOf(spans[:30], time.Minute); few.Step != time.Minute || len(few.Spans) != 30 {
		t.Errorf("few spans: %d of %v", len(few.Spans), few.Step)
	}
	if none := timelineOf(nil, time.Hour); len(none.Spans) != 0 || none.plots(&periods[0], from)[0].Drawn() {
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
		got := strip[stripLength-6+i]
		if got.Level != want {
			t.Errorf("%s is %q, want %q", got.Title, got.Level, want)
		}
		if before := strip[stripLength-7+i]; i > 1 && got.Height() <= before.Height() {
			t.Errorf("%s is drawn with the height %v, not more than %s with %v", got.Title, got.Height(), before.Title, before.Height())
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
