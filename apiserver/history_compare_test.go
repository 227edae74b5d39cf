package apiserver_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"
)

// These types are parts of the responses, as a client decodes them.
type (
	historyPoint struct {
		Time                                                         int64
		Farmers, Online, Contracts, Size, Heartbeats, Wrong, Expired int64
	}
	farmerDay struct {
		Date                               string
		Uptime                             float64
		Heartbeats, Wrong, Contracts, Size int64
	}
)

// settle sweeps every contract that has expired, without the grace period. It checks
// that the record's totals agree with the tokens.
func (h *hour) settle(t *testing.T, host *harness) {
	t.Helper()
	_, err := host.Store.Expire(t.Context(), h.now, 100)
	must(t, err)
	corrected, err := host.Store.BalanceRecord(t.Context(), h.now)
	must(t, err)
	if corrected {
		t.Error("the record does not agree with the tokens")
	}
}

func (h *hour) compare(t *testing.T, host *harness) {
	t.Helper()
	beats, wrong, expired := 0, 0, 0
	for _, f := range h.farmers {
		beats, wrong = beats+len(f.beats), wrong+len(f.wrong)
		for _, c := range f.held {
			if c.expired() && !c.until.After(h.now) {
				expired++
			}
		}
	}
	t.Logf("%d farmers, %d files, %d heartbeats, %d wrong proofs, %d expiries", len(h.farmers), h.made, beats, wrong, expired)
	if beats < 100 || wrong < 10 || expired < 4 {
		t.Error("there are too few events for a test")
	}
	for step, width := range map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour} {
		path := fmt.Sprintf("%s/status/history?step=%s&from=%d&to=%d", api, step, h.began.Unix(), h.now.Unix())
		got := decodeOK[struct{ Points []historyPoint }](t, host.ask(t, "GET", path, nil)).Points
		var want []historyPoint
		for at := h.began.Truncate(width); !at.After(h.now); at = at.Add(width) {
			want = append(want, h.point(at, at.Add(width)))
		}
		if len(got) != len(want) {
			t.Errorf("%d points of a %s, want %d", len(got), step, len(want))
			continue
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s\n %+v, want\n %+v", step, got[i], want[i])
			}
		}
	}
	h.compareSummary(t, host)
	for _, f := range h.farmers {
		h.compareDays(t, f)
	}
}

func count(moments []time.Time, from, to time.Time) (n int64) {
	for _, at := range moments {
		if !at.Before(from) && at.Before(to) {
			n++
		}
	}
	return n
}

// point returns the totals just before to, and the changes since from.
func (h *hour) point(from, to time.Time) historyPoint {
	p := historyPoint{Time: from.Unix()}
	to = earliest(to, h.now.Add(time.Microsecond))
	for _, f := range h.farmers {
		if f.joined.Before(to) && (f.left.IsZero() || !f.left.Before(to)) {
			p.Farmers++
		}
		held, size := f.holds(to)
		if held > 0 {
			p.Online++
		}
		p.Contracts += held
		p.Size += size
		p.Heartbeats += count(f.beats, from, to)
		p.Wrong += count(f.wrong, from, to)
		for _, c := range f.held {
			if c.expired() && !c.until.Before(from) && c.until.Before(to) {
				p.Expired++
			}
		}
	}
	return p
}

// holds returns the number and total size of the farmer's contracts just before a
// moment.
func (f *simFarmer) holds(before time.Time) (contracts, size int64) {
	for _, c := range f.held {
		if c.from.Before(before) && !c.until.Before(before) {
			contracts++
			size += c.Size
		}
	}
	return contracts, size
}

func (h *hour) compareSummary(t *testing.T, host *harness) {
	t.Helper()
	end := h.now.Add(time.Microsecond)
	want := h.point(h.began, end)
	for _, f := range h.farmers { // the summary does not count deleted farmers
		if !f.left.IsZero() {
			want.Heartbeats -= int64(len(f.beats))
			want.Wrong -= int64(len(f.wrong))
			for _, c := range f.held {
				if c.expired() {
					want.Expired--
				}
			}
		}
	}
	got := decodeOK[historyPoint](t, host.ask(t, "GET", api+"/status/summary", nil))
	if want.Time = got.Time; got != want {
		t.Errorf("summary\n %+v, want\n %+v", got, want)
	}
}

func (h *hour) compareDays(t *testing.T, f *simFarmer) {
	t.Helper()
	asked := f.ask(t, "GET", api+"/status/show/"+f.token.Hash().FarmerID()+"/history", nil)
	if !f.left.IsZero() {
		asked.want(t, 404, "farmer not found")
		return
	}
	got := decodeOK[struct{ Days []farmerDay }](t, asked).Days
	want := []farmerDay{}
	if len(f.held) > 0 {
		first := f.held[0].from
		for day := first.Truncate(24 * time.Hour); !day.After(h.now); day = day.Add(24 * time.Hour) {
			want = append(want, f.day(latest(day, first), earliest(day.Add(24*time.Hour), h.now)))
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("days of farmer %d\n %+v, want\n %+v", f.n, got, want)
	}
}

// day returns the farmer's totals for a day. from is the start of the day, or the
// start of the farmer's first contract. to is the end of the day, or now.
func (f *simFarmer) day(from, to time.Time) farmerDay {
	d := farmerDay{Date: from.Format(time.DateOnly), Heartbeats: count(f.beats, from, to), Wrong: count(f.wrong, from, to)}
	d.Contracts, d.Size = f.holds(to)
	var online time.Duration
	reached := from
	for _, c := range f.held { // in the order in which they were handed out
		begin, end := latest(reached, c.from), earliest(to, c.until)
		if end.After(begin) {
			online += end.Sub(begin)
			reached = end
		}
	}
	uptime := fmt.Sprintf("%.2f", 100*float64(online)/float64(to.Sub(from)))
	fmt.Sscan(uptime, &d.Uptime)
	return d
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
