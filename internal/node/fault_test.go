package node

import (
	"testing"
	"time"
)

func TestNextFault(t *testing.T) {
	t.Parallel()
	const recovery = time.Minute
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	report := func(duty Duty, since, last int) Report { return Report{duty, at(since), at(last)} }
	open := &Fault{ID: 7, Start: at(0), Cause: Down}
	for _, tt := range []struct {
		name    string
		open    *Fault
		reports []Report
		now     int
		begins  int // -1 if no fault begins
		ends    bool
	}{
		{"a new node", nil, nil, 100, -1, false},
		{"both alive", nil, []Report{report(TakeProofs, 0, 100), report(JudgeProofs, 0, 98)}, 101, -1, false},
		{"just not silent for long", nil, []Report{report(TakeProofs, 0, 100), report(JudgeProofs, 0, 100)}, 115, -1, false},
		{"no worker", nil, []Report{report(TakeProofs, 0, 100), report(JudgeProofs, 0, 80)}, 101, 80, false},
		{"no API replica", nil, []Report{report(TakeProofs, 0, 80), report(JudgeProofs, 0, 100)}, 101, 80, false},
		{"nothing, the first silence counts", nil, []Report{report(TakeProofs, 0, 50), report(JudgeProofs, 0, 80)}, 200, 50, false},
		{"another worker is alive", nil, []Report{report(TakeProofs, 0, 100), report(JudgeProofs, 0, 10), report(JudgeProofs, 90, 100)}, 101, -1, false},
		{"a node without workers since ever", nil, []Report{report(TakeProofs, 0, 100)}, 101, -1, false},
		{"the fault lasts", open, []Report{report(TakeProofs, 0, 50), report(JudgeProofs, 0, 80)}, 81, -1, false},
		{"one is back", open, []Report{report(TakeProofs, 50, 80), report(JudgeProofs, 75, 80)}, 81, -1, false},
		{"both are back", open, []Report{report(TakeProofs, 50, 80), report(JudgeProofs, 70, 80)}, 81, -1, true},
		{"back, and silent again", open, []Report{report(TakeProofs, 50, 80), report(JudgeProofs, 50, 60)}, 81, -1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := NextFault(tt.open, tt.reports, at(tt.now), recovery)
			switch {
			case tt.begins >= 0:
				if got == nil || !got.Start.Equal(at(tt.begins)) || !got.End.IsZero() || got.Cause != Down || got.Evidence == "" {
					t.Errorf("%+v, want a fault since %d", got, tt.begins)
				}
			case tt.ends:
				if got == nil || got.ID != open.ID || !got.End.Equal(at(tt.now)) || !got.Resume.Equal(at(tt.now).Add(recovery)) {
					t.Errorf("%+v, want the end of the fault", got)
				}
			case got != nil:
				t.Errorf("%+v, want no change", got)
			}
		})
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

func TestKnownUntil(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	before := func(seconds int) time.Time { return now.Add(-time.Duration(seconds) * time.Second) }
	reports := []Report{{TakeProofs, before(50), before(1)}, {JudgeProofs, before(50), before(9)}, {JudgeProofs, before(50), before(3)}}
	for _, tt := range []struct {
		name    string
		faults  []Fault
		reports []Report
		want    time.Time
	}{
		{"no process", nil, nil, now},
		{"the duty that reported first", nil, reports, before(3)},
		{"a fault", []Fault{{Start: before(100)}, {Start: before(20)}}, reports, before(100)},
	} {
		if got := KnownUntil(tt.faults, tt.reports, now); !got.Equal(tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
