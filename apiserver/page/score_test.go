package page_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/apiserver/page/pagetest"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/roster"
)

// TestScores checks what the pages show of a farmer's evidence and standing.
func TestScores(t *testing.T) {
	t.Parallel()
	h := open(t, 1)
	proven := h.List(roster.Query{})[0]
	since := time.Date(2025, 12, 24, 8, 0, 0, 0, time.UTC)
	proven.Heartbeats, proven.ProvenSince, proven.LastHeartbeat, proven.Suspension = 9, since, pagetest.Now.Add(-time.Minute), node.Suspension{}
	proven.Evidence = node.Evidence{
		Slot:    pagetest.Now,
		Online:  node.Track{Weight: 1000, Good: 998, Square: 1000},
		Correct: node.Track{Weight: 1000, Good: 1000, Square: 1000},
	}
	missing := proven
	missing.Evidence.Online.Good = 700
	suspended := node.Suspension{Since: since, By: node.ByOperator, Reason: "a <reason>"}
	for name, test := range map[string]struct {
		change   func(*node.Farmer)
		row, own []string
		hidden   string // is on neither page
	}{
		"good": {
			func(*node.Farmer) {},
			[]string{">≥ 99.2 %<", ">24 Dec 2025</time>"},
			[]string{
				"<dd>≥ 99.2 %</dd>", "<b>99.8 %</b> of the intervals were without a missed challenge. With 95 % certainty, the real share is from 99.2 % to 100.0 %.",
				"<b>100.0 %</b> of the intervals were without a wrong proof. With 95 % certainty, the real share is from 99.6 % to 100.0 %. This comes from as much evidence as 1,000 intervals.",
				">24 Dec 2025</time>", ">14 Mar 2026, 15:08 UTC</time>", "<dt>Last 7 days</dt><dd>",
			},
			`class="standing`,
		},
		"new": {
			func(f *node.Farmer) {
				f.Heartbeats, f.ProvenSince, f.LastHeartbeat, f.Evidence = 0, time.Time{}, time.Time{}, node.Evidence{}
			},
			[]string{`data-name="Score">–<`, `data-name="Farming since">–<`, `>new</span>`},
			[]string{"<dt>Score</dt><dd>–</dd>", "<dt>Farming since</dt><dd>–</dd>", "<dt>Last proof</dt><dd>–</dd>", "The farmer is new: the node has accepted no proof of it yet."},
			"≥ 0",
		},
		"proven before the node kept evidence": {
			func(f *node.Farmer) { f.Evidence = node.Evidence{} },
			[]string{`data-name="Score">–<`, ">24 Dec 2025</time>"},
			[]string{"There is no evidence of this farmer at the moment."},
			"≥ 0",
		},
		"suspended by the operator": {
			func(f *node.Farmer) { f.Suspension = suspended },
			[]string{">≥ 99.2 %<", `<span class="standing suspended">suspended</span>`},
			[]string{`>24 Dec 2025, 08:00 UTC</time>: a &lt;reason&gt;. It keeps its contracts`, "The suspension ends if the operator of the node lifts it."},
			"no evidence",
		},
		"suspended by a rule": {
			func(f *node.Farmer) {
				*f = missing
				f.Suspension = node.Suspension{Since: since, By: node.ByOnline, Reason: "a rule"}
			},
			[]string{">≥ 67.0 %<", `<span class="standing suspended">suspended</span>`},
			[]string{"The suspension ends if the share of intervals without a missed challenge can be 90 % again, within five standard deviations."},
			"no evidence",
		},
	} {
		f := proven
		test.change(&f)
		h := open(t, 1)
		h.Change(func([]node.Farmer) []node.Farmer { return []node.Farmer{f} })
		row := regexp.MustCompile(`<tr role="row" data-key=.*</tr>`).FindString(h.body(t, "/", 200))
		own := h.body(t, "/farmer/"+f.ID, 200)
		contains(t, name+", in the table", row, test.row)
		contains(t, name+", on its page", own, test.own)
		if strings.Contains(row+own, test.hidden) {
			t.Errorf("%s: a page contains %q", name, test.hidden)
		}
	}
}

func contains(t *testing.T, where, text string, wants []string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%s: no %q", where, want)
		}
	}
}

// The front page lists farmers without a score last.
func TestOrderByScore(t *testing.T) {
	t.Parallel()
	h := open(t, 1000)
	score := regexp.MustCompile(`data-name="Score">([^<]*)<`)
	var scores []string
	for page := 1; page <= 20; page++ {
		for _, found := range score.FindAllStringSubmatch(h.body(t, fmt.Sprint("/?page=", page), 200), -1) {
			scores = append(scores, found[1])
		}
	}
	first := slices.Index(scores, "–")
	if first < 900 || first == len(scores) || len(scores) != 1000 {
		t.Fatalf("%d farmers, and the first without a score is number %d", len(scores), first)
	}
	if scores[0] < "≥ 99.5 %" || scores[first-1] > "≥ 90.0 %" || slices.ContainsFunc(scores[first:], func(s string) bool { return s != "–" }) {
		t.Errorf("the scores are from %s to %s, and then %v", scores[0], scores[first-1], scores[first:])
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	h := open(t, 60)
	address := "/farmer/" + h.List(roster.Query{Sort: roster.ByHeartbeats, Desc: true})[0].ID
	got := h.body(t, address, 200)
	contains(t, address, got, []string{
		`Contract completed: every challenge was answered <span class="file">file <code>ab0000000000…</code>`,
		"Contract expired: a challenge was not answered in time <",
		"Contract ended: the last challenge got only wrong proofs <",
		"Contract restored: a proof had arrived in time after all <",
		"Contract void: the node had a fault from 9 Mar 2026, 15:09 UTC, for 100 min, so this does not count against the farmer <",
		"Suspended: the operator &lt;waits&gt; for an answer</td>",
		"Suspension lifted</td>",
	})
	contains(t, "the counts", got, []string{"<li><b>2</b> × Contract expired: a challenge was not answered in time</li>", "<li><b>2</b> × Contract ended: the last challenge got only wrong proofs</li>"})
	if n := strings.Count(got, "<code>ab"); n != 10 {
		t.Errorf("%d events about contracts, want 10", n)
	}
	h.SetFaults()
	h.pass(6 * time.Second)
	contains(t, "without the fault", h.body(t, address, 200), []string{"Contract void: the node had a fault, so this does not count against the farmer <"})
	h.Change(func(farmers []node.Farmer) []node.Farmer {
		for i := range farmers {
			farmers[i].Heartbeats = 0
		}
		return farmers
	})
	if strings.Contains(h.body(t, address, 200), `<h2 id="events">`) {
		t.Error("a farmer without events has a list of events")
	}
}
