package node

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	slotLength = time.Hour
	slotLife   = 30 * 24 * time.Hour
)

var slotZero = time.Date(2015, 3, 1, 0, 0, 0, 0, time.UTC)

// slotAt returns a time in slot n.
func slotAt(n int) time.Time { return slotZero.Add(time.Duration(n)*slotLength + slotLength/2) }

func TestEvidenceCountsSlots(t *testing.T) {
	t.Parallel()
	heartbeat := func(e *Evidence, n int) { e.AddHeartbeat(slotAt(n), slotLength, slotLife) }
	wrong := func(e *Evidence, n int) { e.AddWrong(slotAt(n), slotLength, slotLife) }
	missed := func(e *Evidence, n int) { e.AddMissed(slotAt(n), slotLength, slotLife) }
	undo := func(e *Evidence, _ int) { e.UndoMissed() }
	type event struct {
		add  func(*Evidence, int)
		slot int
	}
	for _, tt := range []struct {
		name            string
		events          []event
		online, correct [2]float64 // slots and good slots, without decay
	}{
		{"many heartbeats in a slot are one", []event{{heartbeat, 0}, {heartbeat, 0}, {heartbeat, 1}}, [2]float64{2, 2}, [2]float64{2, 2}},
		{"many missed challenges in a slot are one", []event{{heartbeat, 0}, {missed, 1}, {missed, 1}}, [2]float64{2, 1}, [2]float64{1, 1}},
		{"a missed challenge after a heartbeat of its slot", []event{{heartbeat, 0}, {missed, 0}}, [2]float64{1, 0}, [2]float64{1, 1}},
		{"a heartbeat after a missed challenge of its slot", []event{{missed, 0}, {heartbeat, 0}}, [2]float64{1, 0}, [2]float64{1, 1}},
		{"a wrong proof says nothing about online", []event{{wrong, 0}}, [2]float64{0, 0}, [2]float64{1, 0}},
		{"a wrong proof and a heartbeat", []event{{wrong, 0}, {heartbeat, 0}, {wrong, 1}, {wrong, 1}}, [2]float64{1, 1}, [2]float64{2, 0}},
		{"slots without an event", []event{{heartbeat, 0}, {heartbeat, 5}}, [2]float64{2, 2}, [2]float64{2, 2}},
		{"an event of an earlier slot", []event{{heartbeat, 5}, {missed, 4}}, [2]float64{1, 0}, [2]float64{1, 1}},
		{"a missed challenge taken back", []event{{heartbeat, 0}, {missed, 1}, {undo, 1}}, [2]float64{2, 2}, [2]float64{1, 1}},
		{"one of two missed challenges taken back", []event{{missed, 1}, {missed, 1}, {undo, 1}}, [2]float64{1, 0}, [2]float64{0, 0}},
		{"a clock that is set back", []event{{heartbeat, 500}, {missed, 1}, {heartbeat, 2}}, [2]float64{3, 2}, [2]float64{2, 2}},
		{"a missed challenge of an earlier slot taken back", []event{{missed, 1}, {heartbeat, 3}, {undo, 1}}, [2]float64{2, 1}, [2]float64{1, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := Evidence{}
			for _, event := range tt.events {
				event.add(&e, event.slot)
			}
			for _, track := range []struct {
				name string
				Track
				want [2]float64
			}{{"online", e.Online, tt.online}, {"correct", e.Correct, tt.correct}} {
				// Five slots of an hour decay by half a percent.
				if math.Abs(track.Weight-track.want[0]) > 0.01 || math.Abs(track.Good-track.want[1]) > 0.01 || track.Good > track.Weight {
					t.Errorf("%s: %.3f of %.3f slots are good, want %v", track.name, track.Good, track.Weight, track.want)
				}
			}
			text, _ := e.MarshalBinary()
			back := Evidence{}
			if err := back.UnmarshalBinary(text); err != nil || back != e {
				t.Errorf("%+v became %+v, %v", e, back, err)
			}
		})
	}
}

func TestEvidenceAges(t *testing.T) {
	t.Parallel()
	e := Evidence{}
	for n := range 100 {
		e.AddHeartbeat(slotAt(n), slotLength, slotLife)
	}
	fresh, _ := e.Scores(slotAt(99), slotLife)
	aged, _ := e.Scores(slotAt(99).Add(slotLife), slotLife)
	gone, _ := e.Scores(slotAt(99).Add(100*slotLife), slotLife)
	if fresh.Weight < 99 || fresh.Weight > 100 {
		t.Errorf("100 slots weigh %.2f", fresh.Weight)
	}
	if ratio := aged.Weight / fresh.Weight; math.Abs(ratio-0.5) > 0.01 || aged.Lower >= fresh.Lower {
		t.Errorf("after a half-life %+v became %+v", fresh, aged)
	}
	if (gone != Score{Upper: 1}) {
		t.Errorf("evidence of eight years ago: %+v", gone)
	}
	if online, correct := (&Evidence{}).Scores(slotZero, slotLife); (online != Score{Upper: 1}) || online != correct {
		t.Errorf("no evidence: %+v", online)
	}
}

// The expected values were computed with another implementation of Wilson's interval.
func TestScoreIsWilsons(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ good, of, lower, upper float64 }{
		{0, 10, 0, 0.27753},
		{10, 10, 0.72247, 1},
		{5, 10, 0.23659, 0.76341},
		{81, 263, 0.25529, 0.36622},
	} {
		s := Track{Weight: tt.of, Good: tt.good, Square: tt.of}.score(1, z95)
		if math.Abs(s.Lower-tt.lower) > 5e-5 || math.Abs(s.Upper-tt.upper) > 5e-5 || math.Abs(s.Weight-tt.of) > 1e-9 {
			t.Errorf("%v of %v: %+v", tt.good, tt.of, s)
		}
	}
}

// simulate runs do for many farmers, each with its own seed, on all processors.
func simulate(farmers int, do func(random *rand.Rand)) {
	const groups = 100
	var running sync.WaitGroup
	limit := make(chan struct{}, 8)
	for g := range groups {
		limit <- struct{}{}
		running.Go(func() {
			defer func() { <-limit }()
			random := rand.New(rand.NewPCG(1, uint64(g)))
			for range farmers / groups {
				do(random)
			}
		})
	}
	running.Wait()
}

// TestScoreCoversTheTruth simulates 1,000,000 farmers of different ages, and counts how
// often the interval contains the probability that the simulation used.
func TestScoreCoversTheTruth(t *testing.T) {
	t.Parallel()
	const (
		farmers  = 1_000_000
		halfLife = 10 * slotLength // a short one, so that many slots have decayed
	)
	var online, correct atomic.Int64
	simulate(farmers, func(random *rand.Rand) {
		e := Evidence{}
		isOnline, isCorrect := random.Float64(), 0.9+0.1*random.Float64()
		slots := 20 + random.IntN(30)
		for n := range slots {
			at := slotAt(n)
			if random.Float64() >= isOnline {
				e.AddMissed(at, slotLength, halfLife)
			} else {
				e.AddHeartbeat(at, slotLength, halfLife)
			}
			if random.Float64() >= isCorrect {
				e.AddWrong(at, slotLength, halfLife)
			} else if !e.Correct.seen {
				e.Correct.see() // the farmer answered some other challenge
			}
		}
		o, c := e.Scores(slotAt(slots-1), halfLife)
		if o.Lower <= isOnline && isOnline <= o.Upper {
			online.Add(1)
		}
		if c.Lower <= isCorrect && isCorrect <= c.Upper {
			correct.Add(1)
		}
	})
	for name, covered := range map[string]int64{"online": online.Load(), "correct": correct.Load()} {
		share := float64(covered) / farmers
		t.Logf("%s: the interval contains the truth for %.2f %% of %d farmers", name, 100*share, farmers)
		if share < 0.94 || share > 0.96 {
			t.Errorf("%s: %.2f %%", name, 100*share)
		}
	}
}

// TestSuspensionIsSeldomWrong simulates 10,000 years of farmers that are one percentage
// point better than the rule demands.
func TestSuspensionIsSeldomWrong(t *testing.T) {
	t.Parallel()
	const (
		years  = 10_000
		length = 2 * time.Hour
		slots  = 365 * 24 * time.Hour / length
	)
	rules := ScoreRules{HalfLife: slotLife, MinOnline: 0.95}
	var wrong atomic.Int64
	simulate(years, func(random *rand.Rand) {
		e := Evidence{}
		for n := range slots {
			at := slotZero.Add(n * length)
			if random.Float64() < 0.96 {
				e.AddHeartbeat(at, length, slotLife)
				continue // only a missed challenge can lower the bound
			}
			e.AddMissed(at, length, slotLife)
			if rules.Suspend(Suspension{}, e, true, at).By != NotSuspended {
				wrong.Add(1)
				return
			}
		}
	})
	t.Logf("suspended wrongly: %d times in %d years of farmers", wrong.Load(), years)
	if wrong.Load() > 1 {
		t.Errorf("%d", wrong.Load())
	}
}

func TestSuspensionBeginsAndEnds(t *testing.T) {
	t.Parallel()
	rules := ScoreRules{HalfLife: slotLife, MinOnline: 0.9}
	e, s := Evidence{}, Suspension{}
	began, ended := -1, -1
	for n := range 3000 {
		if n < 500 && n%2 == 0 {
			e.AddMissed(slotAt(n), slotLength, slotLife)
		} else {
			e.AddHeartbeat(slotAt(n), slotLength, slotLife)
		}
		before := s
		s = rules.Suspend(s, e, true, slotAt(n))
		allowed := n < suspendWeight || e.Online.score(1, zSuspend).Upper >= rules.MinOnline
		if (s.By == NotSuspended) != allowed {
			t.Fatalf("slot %d: %+v, although the bound allows contracts: %t", n, s, allowed)
		}
		switch {
		case before.By == NotSuspended && s.By == ByOnline:
			began = n
		case before.By == ByOnline && s.By == NotSuspended:
			ended = n
		case before.By == ByOnline && s != before:
			t.Fatalf("slot %d: the suspension changed from %+v to %+v", n, before, s)
		}
	}
	if began < 100 || began > 200 || ended < 500 {
		t.Errorf("suspended in slot %d, until slot %d", began, ended)
	}
	for _, tt := range []struct {
		name    string
		current Suspension
		proved  bool
		rules   ScoreRules
		want    Suspender
	}{
		{"the operator's suspension stays", Suspension{slotZero, ByOperator, "asked for it"}, true, rules, ByOperator},
		{"a farmer without a proof is not suspended", Suspension{}, false, rules, NotSuspended},
		{"a rule that was turned off suspends no one", Suspension{slotZero, ByOnline, "x"}, true, ScoreRules{HalfLife: slotLife}, NotSuspended},
		{"a farmer below the bound is suspended", Suspension{}, true, rules, ByOnline},
	} {
		bad := Evidence{}
		for n := range 110 {
			bad.AddMissed(slotAt(n), slotLength, slotLife)
		}
		if got := tt.rules.Suspend(tt.current, bad, tt.proved, slotAt(110)); got.By != tt.want {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}

func FuzzEvidence(f *testing.F) {
	e := Evidence{}
	e.AddMissed(slotAt(1), slotLength, slotLife)
	text, _ := e.MarshalBinary()
	f.Add(text)
	f.Add([]byte{})
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, text []byte) {
		e := Evidence{}
		if e.UnmarshalBinary(text) != nil {
			return
		}
		e.AddHeartbeat(slotAt(1), slotLength, slotLife)
		online, correct := e.Scores(slotAt(2), slotLife)
		for _, s := range []Score{online, correct} {
			if math.IsNaN(s.Lower) || math.IsNaN(s.Upper) {
				t.Errorf("%x: %+v", text, s)
			}
		}
	})
}
