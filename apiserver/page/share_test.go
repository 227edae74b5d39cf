package page_test

import (
	"encoding/xml"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/apiserver/page"
	"github.com/driveshare/downstream-node/apiserver/page/pagetest"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/roster"
)

func TestBadges(t *testing.T) {
	t.Parallel()
	h := openWith(t, 60, page.Options{Config: page.Config{Name: "A <node>"}})
	check := func(address string, wants ...string) {
		t.Helper()
		w := h.get(address)
		if err := xml.Unmarshal(w.Body.Bytes(), new(struct{ XMLName xml.Name })); err != nil {
			t.Errorf("%s is not XML: %v", address, err)
		}
		// Pages of other sites may embed a badge.
		if w.Code != 200 || w.Header().Get("Content-Type") != "image/svg+xml" || w.Header().Get("Cross-Origin-Resource-Policy") != "cross-origin" {
			t.Errorf("%s: %d, %v", address, w.Code, w.Header())
		}
		contains(t, address, w.Body.String(), wants)
	}
	check("/badge.svg", "A &lt;node&gt;: ", " of 60 farmers online")
	h.SetFaults(node.Fault{Start: pagetest.Now})
	h.pass(6 * time.Second)
	check("/badge.svg", "fault since 14 Mar 2026, 15:09 UTC")
	h.SetFaults(node.Fault{Start: pagetest.Now, Planned: pagetest.Now.Add(time.Hour)})
	h.pass(6 * time.Second)
	check("/badge.svg", "maintenance until 14 Mar 2026, 16:09 UTC")

	h.Change(func(farmers []node.Farmer) []node.Farmer { return farmers[:1] })
	f := h.List(roster.Query{})[0]
	f.Suspension = node.Suspension{}
	for value, change := range map[string]func(f *node.Farmer){
		"online":    func(f *node.Farmer) { f.Uptime.End = pagetest.Now.Add(time.Hour) },
		"offline":   func(f *node.Farmer) { f.Uptime.End = pagetest.Now.Add(-time.Hour) },
		"suspended": func(f *node.Farmer) { f.Suspension = node.Suspension{Since: pagetest.Now, By: node.ByOperator} },
	} {
		changed := f
		change(&changed)
		h.Change(func([]node.Farmer) []node.Farmer { return []node.Farmer{changed} })
		check("/farmer/"+f.ID+"/badge.svg", "farmer "+f.ID[:8]+": "+value+", score ≥ ")
	}
	h.body(t, "/farmer/00000000000000000000/badge.svg", http.StatusNotFound)
}

// The table shows a strip of each farmer's last 30 days, in the levels of the farmer's page.
func TestStrips(t *testing.T) {
	t.Parallel()
	h := open(t, 60)
	f := h.List(roster.Query{Sort: roster.ByHeartbeats, Desc: true})[0]
	address := "/farmer/" + f.ID + "/strip.svg"
	contains(t, "the table", h.body(t, "/?sort=heartbeats", 200), []string{`src="` + address + `"`})
	strip := h.body(t, address, 200)
	if got := h.get(address).Header().Get("Cache-Control"); got != "private, max-age=300" {
		t.Errorf("Cache-Control %q, so that each refresh of the table would read all strips again", got)
	}
	days, err := h.FarmerDays(t.Context(), f.ID, pagetest.Now.AddDate(0, 0, -29), pagetest.Now)
	if err != nil {
		t.Fatal(err)
	}
	if len(days) < 30 || strings.Count(strip, "<rect") != 30 {
		t.Errorf("%d days and %d bars, want 30", len(days), strings.Count(strip, "<rect"))
	}
	last := days[len(days)-30:]
	for fill, share := range map[string][2]float64{"#2f9461": {99, 101}, "#c9982c": {90, 99}, "#cf4f47": {-1, 1e-9}} {
		want := 0
		for _, d := range last {
			if u := d.Uptime(); share[0] <= u && u < share[1] {
				want++
			}
		}
		if got := strings.Count(strip, fill); got != want {
			t.Errorf("%d bars have the colour %s, want %d", got, fill, want)
		}
	}
	h.body(t, "/farmer/00000000000000000000/strip.svg", http.StatusNotFound)
	h.body(t, "/farmer/x/strip.svg", http.StatusNotFound)
}

func TestFeeds(t *testing.T) {
	t.Parallel()
	h := open(t, 60)
	read := func(address string) (feed struct {
		Title   string `xml:"title"`
		Updated string `xml:"updated"`
		Entries []struct {
			Title   string `xml:"title"`
			ID      string `xml:"id"`
			Updated string `xml:"updated"`
			Summary string `xml:"summary"`
		} `xml:"http://www.w3.org/2005/Atom entry"`
	},
	) {
		t.Helper()
		w := h.get(address)
		if err := xml.Unmarshal(w.Body.Bytes(), &feed); err != nil || w.Header().Get("Content-Type") != "application/atom+xml; charset=utf-8" {
			t.Errorf("%s: %v, %v", address, err, w.Header())
		}
		ids := map[string]bool{}
		for _, e := range feed.Entries {
			if ids[e.ID] || !strings.HasPrefix(e.ID, "http://node.example:5000"+address+"#") {
				t.Errorf("%s: the id %s", address, e.ID)
			}
			ids[e.ID] = true
		}
		return feed
	}
	faults := read("/faults.atom")
	if faults.Updated != "2026-03-14T08:18:26Z" || len(faults.Entries) != 2 {
		t.Errorf("%+v", faults)
	}
	if e := faults.Entries[1]; e.Title != "The node had a fault" || e.Summary != "from 9 Mar 2026, 15:09 UTC, for 100 min: no process could take proofs (31 contracts void)" {
		t.Errorf("%+v", e)
	}
	h.SetFaults(node.Fault{ID: 7, Start: pagetest.Now, Evidence: "31 of 40 <proofs> failed"})
	h.SetMaintenances(node.Fault{ID: 3, Start: pagetest.Now.Add(time.Hour), Planned: pagetest.Now.Add(3 * time.Hour), Evidence: "new disks"})
	h.pass(6 * time.Second)
	faults = read("/faults.atom")
	if len(faults.Entries) != 2 || faults.Entries[0].Summary != "from 14 Mar 2026, 16:09 UTC to 14 Mar 2026, 18:09 UTC: new disks" ||
		faults.Entries[1].Title != "The node has a fault" || faults.Entries[1].Summary != "since 14 Mar 2026, 15:09 UTC: 31 of 40 <proofs> failed" {
		t.Errorf("%+v", faults)
	}
	id := h.List(roster.Query{Sort: roster.ByHeartbeats, Desc: true})[0].ID
	events := read("/farmer/" + id + "/events.atom")
	if len(events.Entries) != 14 || events.Entries[0].Title != "Contract completed" || events.Entries[0].Summary != "every challenge was answered (file ab0000000000…)" {
		t.Errorf("%+v", events)
	}
	h.body(t, "/farmer/nobody/events.atom", http.StatusNotFound)
	contains(t, "the farmer's page", h.body(t, "/farmer/"+id, 200), []string{`<link rel="alternate" type="application/atom+xml" href="/farmer/` + id + `/events.atom"`})
	contains(t, "/", h.body(t, "/", 200), []string{`<link rel="alternate" type="application/atom+xml" href="/faults.atom"`})
}

func TestRobots(t *testing.T) {
	t.Parallel()
	contains(t, "/robots.txt", open(t, 1).body(t, "/robots.txt", 200), []string{"Disallow: /api/\n", "Disallow: /*?\n"})
}
