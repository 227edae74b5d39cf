package store

import (
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// A fault changes no uptime, whenever a farmer takes or proves contracts in it. The
// farmer has a gap before the fault, so a share of time that counts twice shows.
func TestFaultChangesNoUptime(t *testing.T) {
	t.Parallel()
	const outage = 10 * interval
	const known = interval // the farmer has no contract from then on, until its second hand-out
	began := start.Add(3*interval - 20*time.Second)
	ended := began.Add(outage)
	resume := ended.Add(recovery)
	type scene struct {
		*fixture
		*testing.T
		token Token
		held  []held
	}
	open := func(s scene) {
		must(s, s.write.Exec("INSERT INTO faults (start, cause, evidence) VALUES (?, 'down', '')", micros(began)).Error)
	}
	end := func(s scene) {
		must(s, s.write.Exec("UPDATE faults SET ended = ?, resume = ?", micros(ended), micros(resume)).Error)
	}
	take := func(s scene, at time.Time) { s.contracts(s, s.token, at, 8) }
	apply := func(s scene) { applyAll(s, s.fixture, 1) }
	for name, run := range map[string]func(scene){
		"nothing": func(s scene) { open(s); end(s); apply(s) },
		"hand-out in the open fault": func(s scene) {
			open(s)
			take(s, began.Add(3*interval))
			end(s)
			apply(s)
		},
		"hand-outs in the open fault": func(s scene) {
			open(s)
			take(s, began.Add(3*interval))
			take(s, began.Add(6*interval))
			take(s, ended.Add(-time.Second))
			end(s)
			apply(s)
		},
		"hand-out before the fault is recorded": func(s scene) {
			must(s, s.write.Exec("INSERT INTO processes (name, kind, seen, well_since, well) VALUES ('api', 'api', 1, ?, ?)", micros(start), micros(began)).Error)
			take(s, ended.Add(-time.Minute))
			open(s)
			end(s)
			apply(s)
		},
		"hand-out just after the fault began": func(s scene) {
			must(s, s.write.Exec("INSERT INTO processes (name, kind, seen, well_since, well) VALUES ('api', 'api', 1, ?, ?)", micros(start), micros(began)).Error)
			must(s, s.write.Exec("UPDATE tokens SET up_end = ?", micros(began.Add(time.Second))).Error)
			take(s, began.Add(10*time.Second))
			open(s)
			end(s)
			apply(s)
		},
		"hand-out after the fault, before the uptime moves": func(s scene) {
			open(s)
			end(s)
			take(s, ended.Add(time.Second))
			apply(s)
		},
		"proof after the contracts have moved, before the uptime moves": func(s scene) {
			open(s)
			end(s)
			_, err := s.applyFault(s.Context(), 1, moveRows) // the contracts
			must(s, err)
			if outcome := s.commit(s, answer(s.token, s.held[0], true, ended.Add(time.Second)))[0]; outcome != node.OK {
				s.Errorf("%v", outcome)
			}
			apply(s)
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, f *fixture) {
				s := scene{fixture: f, T: t, token: f.token(t, "farmer")}
				f.contracts(t, s.token, start, 1)
				expireAll(t.Context(), t, f, start.Add(known+time.Second))
				s.held = f.contracts(t, s.token, start.Add(2*interval), 4)
				uptime := func() node.Uptime { return f.farmer(t, s.token, start).Uptime }
				before, possible := uptime().Sum(began), began.Sub(start)
				run(s)
				u := uptime()
				if online, since := u.Sum(resume), resume.Sub(u.Since); online != before || since != possible {
					t.Errorf("after the fault, online for %v of %v; before it %v of %v", online, since, before, possible)
				}
				if !u.Online(resume) {
					t.Error("the farmer is offline after the fault")
				}
			})
		})
	}
}

// The time in which farmers return after a fault belongs to the fault.
func TestReturnAfterAFaultIsNoUptime(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		began := start.Add(interval + time.Second) // the farmer has just lost its contract
		ended := began.Add(10 * interval)
		resume := ended.Add(recovery)
		token := f.token(t, "farmer")
		f.contracts(t, token, start, 1)
		before := f.farmer(t, token, began).Uptime.Sum(began)
		addFault(t, f, began, ended)
		f.contracts(t, token, ended.Add(time.Second), 2)
		if got := f.farmer(t, token, resume).Uptime.Sum(resume); got != before {
			t.Errorf("online for %v, want %v", got, before)
		}
	})
}

// A fault that begins while farmers return from another one takes the common time out once.
func TestFaultsThatFollowEachOther(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		token := f.token(t, "farmer")
		f.contracts(t, token, start, 1)
		first := start.Add(interval + time.Second)
		second := first.Add(5 * interval) // its begin is the end of the first
		addFault(t, f, first, second)
		addFault(t, f, second, second.Add(5*interval))
		resume := second.Add(5*interval + recovery)
		u := f.farmer(t, token, resume).Uptime
		if possible := resume.Sub(u.Since); u.Sum(resume) != interval || possible != first.Sub(start) {
			t.Errorf("online for %v of %v, want %v of %v", u.Sum(resume), possible, interval, first.Sub(start))
		}
	})
}
