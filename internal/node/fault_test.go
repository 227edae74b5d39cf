package node

import (
	"slices"
	"testing"
	"time"
)

// faultStart is the time 0 of the tests of faults.
var faultStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return faultStart.Add(time.Duration(seconds) * time.Second) }

func reportOf(duty Duty, since, last int) Report {
	return Report{Duty: duty, Since: at(since), Last: at(last)}
}

// alive are the reports of a node without a fault.
func alive(now int, proofs ProofCounts) []Report {
	take := reportOf(TakeProofs, now-50, now)
	take.Proofs = proofs
	return []Report{take, reportOf(JudgeProofs, now-50, now-2)}
}

func TestNext(t *testing.T) {
	t.Parallel()
	const interval = 10 * time.Minute
	recovery := Recovery(interval)
	since := func(cause FaultCause) *Fault { return &Fault{ID: 7, Start: at(0), Cause: cause, Silent: 8} }
	mostFail := func(since, until int) ProofCounts {
		return ProofCounts{Decided: 4, Undecided: 5, FailingSince: at(since), FailingUntil: at(until)}
	}
	arrived := func(n int64) ProofCounts { return ProofCounts{Decided: n} }
	soon := func(f *Fault, seconds int) *Fault { f.Resume = at(seconds); return f }
	planned := func(f *Fault, seconds int) *Fault { f.Planned = at(seconds); return f }
	type begins struct {
		cause FaultCause
		start int
	}
	type ends struct{ discarded bool }
	type stays struct{ resume int } // an open fault whose silent farmers have until then; 0 for none
	for _, tt := range []struct {
		name    string
		open    *Fault
		reports []Report
		silence Silence
		last    Fault
		now     int
		want    any // begins, ends, stays, or nil if nothing changes
	}{
		{name: "a new node", now: 100},
		{name: "both alive", reports: alive(100, arrived(0)), now: 101},
		{name: "just not silent for long", reports: alive(100, arrived(0)), now: 113},
		{name: "no worker", reports: []Report{reportOf(TakeProofs, 0, 100), reportOf(JudgeProofs, 0, 80)}, now: 101, want: begins{Down, 80}},
		{name: "no API replica", reports: []Report{reportOf(TakeProofs, 0, 80), reportOf(JudgeProofs, 0, 100)}, now: 101, want: begins{Down, 80}},
		{name: "nothing, the first silence counts", reports: []Report{reportOf(TakeProofs, 0, 50), reportOf(JudgeProofs, 0, 80)}, now: 200, want: begins{Down, 50}},
		{name: "silent since before the last fault ended", reports: []Report{reportOf(TakeProofs, 0, 50), reportOf(JudgeProofs, 0, 90)}, last: Fault{End: at(60)}, now: 100, want: begins{Down, 60}},
		{name: "another worker is alive", reports: append(alive(100, arrived(0)), reportOf(JudgeProofs, 0, 10)), now: 101},
		{name: "a node without workers since ever", reports: []Report{reportOf(TakeProofs, 0, 100)}, now: 101},
		{name: "down lasts", open: since(Down), reports: []Report{reportOf(TakeProofs, 0, 50), reportOf(JudgeProofs, 0, 80)}, now: 81},
		{name: "one is back", open: since(Down), reports: []Report{reportOf(TakeProofs, 50, 80), reportOf(JudgeProofs, 75, 80)}, now: 81},
		{name: "both are back", open: since(Down), reports: []Report{reportOf(TakeProofs, 50, 80), reportOf(JudgeProofs, 70, 80)}, now: 81, want: ends{}},
		{name: "back, and silent again", open: since(Down), reports: []Report{reportOf(TakeProofs, 50, 80), reportOf(JudgeProofs, 50, 60)}, now: 81},
		{name: "back, and the proofs of before count as failed", open: since(Down), reports: alive(80, mostFail(10, 60)), now: 81, want: ends{}},

		{name: "most proofs fail", reports: alive(100, mostFail(80, 99)), now: 101, want: begins{Failing, 80}},
		{name: "most proofs fail, for a moment", reports: alive(100, mostFail(80, 90)), now: 101},
		{name: "most proofs failed before the last fault ended", reports: alive(100, mostFail(80, 99)), last: Fault{End: at(90)}, now: 101},
		{name: "half of the proofs fail", reports: alive(100, ProofCounts{Decided: 5, Undecided: 5}), now: 101},
		{name: "the counts are old", reports: append(alive(101, arrived(0)), Report{Duty: TakeProofs, Last: at(60), Proofs: mostFail(20, 60)}), now: 101},
		{name: "failing lasts", open: since(Failing), reports: alive(100, mostFail(80, 100)), now: 101},
		{name: "most proofs are decided again", open: since(Failing), reports: alive(100, ProofCounts{Decided: 5, Undecided: 5}), now: 101, want: ends{}},

		{name: "no proof arrives", reports: alive(400, arrived(0)), silence: Silence{Missing: 20, Farmers: 5}, now: 401, want: begins{Unreachable, 251}},
		{name: "less than a fifth arrives", reports: alive(400, arrived(4)), silence: Silence{Missing: 21, Proved: 5}, now: 401, want: begins{Unreachable, 251}},
		{name: "a fifth arrives", reports: alive(400, arrived(5)), silence: Silence{Missing: 20, Proved: 5}, now: 401},
		{name: "nothing is expected", reports: alive(400, arrived(0)), now: 401},
		{name: "silent since before the last fault ended", reports: alive(400, arrived(0)), silence: Silence{Missing: 50}, last: Fault{End: at(350)}, now: 401, want: begins{Unreachable, 350}},
		{name: "soon after a discarded fault", reports: alive(400, arrived(0)), silence: Silence{Missing: 50}, last: Fault{Start: at(100), End: at(300), Discarded: true}, now: 401, want: begins{Unreachable, 300}},
		{name: "soon after the longest hold", reports: alive(7000, arrived(0)), silence: Silence{Missing: 50}, last: Fault{Start: at(0), End: at(3600), Discarded: true}, now: 7000},
		{name: "later after the longest hold", reports: alive(7200, arrived(0)), silence: Silence{Missing: 50}, last: Fault{Start: at(0), End: at(3600), Discarded: true}, now: 7200, want: begins{Unreachable, 7050}},

		{name: "the silence lasts", open: since(Unreachable), reports: alive(100, arrived(0)), silence: Silence{Away: 8, Missed: true}, now: 101},
		{name: "proofs arrive again", open: since(Unreachable), reports: alive(100, arrived(9)), silence: Silence{Away: 8, Missed: true}, now: 101, want: stays{101 + int(recovery/time.Second)}},
		{name: "few proofs arrive", open: soon(since(Unreachable), 120), reports: alive(100, arrived(9)), silence: Silence{Away: 8, Missed: true, Recent: 37}, now: 101, want: stays{}},
		{name: "proofs arrive again, and stop", open: soon(since(Unreachable), 120), reports: alive(100, arrived(0)), silence: Silence{Away: 8, Missed: true, Recent: 1}, now: 101, want: stays{}},
		{name: "proofs arrive again, and no more are expected", open: soon(since(Unreachable), 120), reports: alive(100, arrived(0)), silence: Silence{Away: 8, Missed: true}, now: 101},
		{name: "half of the farmers come back", open: since(Unreachable), reports: alive(100, arrived(9)), silence: Silence{Away: 4, Missed: true}, now: 101, want: ends{}},
		{name: "they come back before a deadline", open: since(Unreachable), reports: alive(100, arrived(9)), silence: Silence{Away: 4}, now: 101, want: ends{true}},
		{name: "no proof arrives when they should be back", open: soon(since(Unreachable), 101), reports: alive(100, arrived(0)), silence: Silence{Away: 8, Missed: true}, now: 101},
		{name: "they do not come back", open: soon(since(Unreachable), 101), reports: alive(100, arrived(9)), silence: Silence{Away: 8, Missed: true}, now: 101, want: ends{true}},
		{name: "the hold has lasted for long", open: since(Unreachable), reports: alive(3600, arrived(0)), silence: Silence{Away: 8, Missed: true}, now: 3600, want: ends{true}},
		{name: "the node is down, too", open: since(Unreachable), reports: []Report{reportOf(TakeProofs, 0, 80)}, silence: Silence{Away: 8}, now: 101, want: begins{Down, 0}},

		{name: "most proofs fail, too", open: since(Unreachable), reports: alive(100, mostFail(80, 99)), silence: Silence{Away: 8}, now: 101, want: begins{Failing, 0}},

		{name: "a maintenance lasts", open: planned(since(Maintenance), 200), reports: alive(100, arrived(0)), now: 101},
		{name: "a maintenance ends", open: planned(since(Maintenance), 101), reports: alive(100, arrived(0)), now: 101, want: ends{}},
		{name: "a maintenance began in another fault", open: planned(&Fault{Cause: Maintenance, Start: at(0), Evidence: "disks"}, 200), last: Fault{End: at(60)}, reports: alive(100, arrived(0)), now: 101, want: begins{Maintenance, 60}},
		{name: "a maintenance began in a discarded fault", open: planned(since(Maintenance), 200), last: Fault{End: at(60), Discarded: true}, reports: alive(100, arrived(0)), now: 101},
		{name: "a maintenance takes longer", open: planned(since(Maintenance), 90), reports: []Report{reportOf(TakeProofs, 95, 100), reportOf(JudgeProofs, 0, 50)}, now: 101},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := Watch{Open: tt.open, Last: tt.last, Reports: tt.reports, Silence: tt.silence, Interval: interval, Hold: time.Hour}
			got := w.Next(at(tt.now))
			if tt.want == nil {
				if got != nil {
					t.Fatalf("%+v, want no change", got)
				}
				return
			}
			if got == nil {
				t.Fatalf("no change, want %+v", tt.want)
			}
			switch want := tt.want.(type) {
			case begins:
				if !got.Start.Equal(at(want.start)) || !got.End.IsZero() || got.Cause != want.cause || got.Evidence == "" {
					t.Errorf("%+v, want %+v", got, want)
				}
			case ends:
				if got.ID != 7 || got.End.IsZero() || got.Discarded != want.discarded || !want.discarded && !got.Resume.Equal(got.End.Add(recovery)) {
					t.Errorf("%+v, want %+v", got, want)
				}
			case stays:
				if !got.End.IsZero() || got.Resume.IsZero() != (want.resume == 0) || want.resume != 0 && !got.Resume.Equal(at(want.resume)) {
					t.Errorf("%+v, want %+v", got, want)
				}
			}
		})
	}
}

func TestProofLog(t *testing.T) {
	t.Parallel()
	const window = 10 * time.Second
	var l ProofLog
	l.Count(at(0), 3, 0)
	l.Count(at(5), 0, 2)
	if c := l.Counts(at(9), window); c != (ProofCounts{Decided: 3, Undecided: 2}) {
		t.Errorf("%+v", c)
	}
	want := ProofCounts{Undecided: 2, FailingSince: at(5), FailingUntil: at(5)}
	if c := l.Counts(at(10), window); c != want {
		t.Errorf("%+v, want %+v", c, want)
	}
	l.Count(at(40), 0, 1) // at(5) is not in the window any more
	want = ProofCounts{Undecided: 1, FailingSince: at(5), FailingUntil: at(40)}
	if c := l.Counts(at(41), window); c != want {
		t.Errorf("%+v, want %+v", c, want)
	}
	l.Count(at(41), 1, 0)
	if c := l.Counts(at(41), window); c != (ProofCounts{Decided: 1, Undecided: 1}) {
		t.Errorf("%+v", c)
	}
	l.Returned(3)
	l.Returned(3)
	if ids := l.Back(); !slices.Equal(ids, []int64{3}) || len(l.Back()) > 0 {
		t.Errorf("%v", ids)
	}
}

func TestPostpone(t *testing.T) {
	t.Parallel()
	const interval = 10 * time.Minute
	one := []Fault{{Start: at(100), Planned: at(200)}}
	two := []Fault{one[0], {Start: at(300), Planned: at(400)}} // the second begins before farmers are back
	for _, tt := range []struct {
		planned     []Fault
		due         int
		first, last int
	}{{one, 95, 95, 95}, {one, 96, 320, 380}, {one, 100, 320, 380}, {one, 319, 320, 380}, {one, 320, 320, 320}, {two, 100, 520, 580}, {two, 299, 520, 580}} {
		for range 100 {
			if got := Postpone(at(tt.due), tt.planned, interval); got.Before(at(tt.first)) || got.After(at(tt.last)) {
				t.Fatalf("%v for %d, want %v to %v", got, tt.due, at(tt.first), at(tt.last))
			}
		}
	}
}

func TestReportContinues(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r := Report{Since: start, Last: start.Add(time.Minute)}
	if got := r.Continues(r.Last.Add(faultSilence)); !got.Equal(r.Since) {
		t.Errorf("%v, want the earlier report's Since", got)
	}
	if now := r.Last.Add(faultSilence + 1); !r.Continues(now).Equal(now) || !(Report{}).Continues(now).Equal(now) {
		t.Error("a report after a silence, or a first report, begins now")
	}
}

func TestStatedAt(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ known, want time.Time }{
		{time.Time{}, at(100)}, // before the first report
		{at(85), at(100)},
		{at(84), at(84)},
		{at(200), at(100)},
	} {
		if got := StatedAt(at(100), tt.known); !got.Equal(tt.want) {
			t.Errorf("known until %v: %v, want %v", tt.known, got, tt.want)
		}
	}
}

func TestKnownUntil(t *testing.T) {
	t.Parallel()
	reports := []Report{reportOf(TakeProofs, 50, 99), reportOf(JudgeProofs, 50, 91), reportOf(JudgeProofs, 50, 97)}
	fail := []Report{{Duty: TakeProofs, Since: at(50), Last: at(99), Proofs: ProofCounts{Undecided: 1, FailingSince: at(70)}}}
	for _, tt := range []struct {
		name    string
		faults  []Fault
		reports []Report
		want    int
	}{
		{"no process", nil, nil, 100},
		{"the duty that reported first", nil, reports, 97},
		{"a fault", []Fault{{Start: at(0)}, {Start: at(80)}}, reports, 0},
		{"most proofs fail", nil, fail, 70},
	} {
		if got := (Watch{Reports: tt.reports}).KnownUntil(tt.faults, at(100)); !got.Equal(at(tt.want)) {
			t.Errorf("%s: %v, want %v", tt.name, got, at(tt.want))
		}
	}
}
