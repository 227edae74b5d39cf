package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

const recovery = 30 * time.Second

func report(t testing.TB, p *Process, well bool) FaultState {
	t.Helper()
	state, err := p.Report(t.Context(), Seen{Well: well}, FaultRules{Interval: recovery})
	must(t, err)
	return state
}

// Two processes report. They were silent for a while, as after a failure of everything.
// The first report of any of them must find the fault, and the fault must end when
// both have reported for a while.
func TestReportFindsAFault(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		api, worker := f.NewProcess("one", KindAPI), openStore(t, f.cfg).NewProcess("two", KindWorker)
		beat(t, api)
		beat(t, worker)
		age := func(by time.Duration) {
			must(t, f.write.Exec("UPDATE processes SET well = well - ?, well_since = well_since - ?", by.Microseconds(), by.Microseconds()).Error)
		}
		now := func() time.Time {
			now, err := f.Now(t.Context())
			must(t, err)
			return now
		}
		for _, p := range []*Process{api, worker, api} {
			if state := report(t, p, true); state.Changed != nil || len(state.Unapplied) > 0 || now().Sub(state.Known) > 5*time.Second {
				t.Fatalf("%+v, want no fault", state)
			}
		}
		const outage = time.Hour
		age(outage)
		state := report(t, worker, false) // it cannot work, and must still find the fault
		begun := state.Changed
		if begun == nil || !begun.End.IsZero() || now().Sub(begun.Start).Round(time.Minute) != outage || !state.Known.Equal(begun.Start) {
			t.Fatalf("%+v, want a fault of an hour that is open", state)
		}
		age(11 * time.Second)
		report(t, api, true)
		age(11 * time.Second) // the API replica has reported for long enough, the worker has not
		if state := report(t, api, true); state.Changed != nil {
			t.Fatalf("%+v, want the fault to last", state)
		}
		report(t, worker, true)
		age(5 * time.Second)
		report(t, api, true)
		report(t, worker, true)
		age(6 * time.Second)
		state = report(t, api, true)
		over := state.Changed
		if over == nil || over.ID != begun.ID || over.Resume.Sub(over.End) != recovery || !state.Known.Equal(over.Start) {
			t.Fatalf("%+v, want the end of the fault", state)
		}
		applyAll(t, f, over.ID)
		if state := report(t, worker, true); state.Changed != nil || len(state.Unapplied) > 0 || now().Sub(state.Known) > 20*time.Second {
			t.Errorf("%+v, want no fault", state)
		}
		faults, err := f.Faults(t.Context(), 10)
		must(t, err)
		if len(faults) != 1 || faults[0].ID != over.ID || !faults[0].Start.Equal(over.Start) || !faults[0].Resume.Equal(over.Resume) || faults[0].Evidence == "" {
			t.Errorf("faults %+v", faults)
		}
	})
}

// Several processes report at the same moment, after an outage. They record one fault.
func TestConcurrentReports(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		const processes, outages = 6, 5
		all := make([]*Process, processes)
		for i := range all {
			all[i] = openStore(t, f.cfg).NewProcess(fmt.Sprint("process ", i), []string{KindAPI, KindWorker}[i%2])
			beat(t, all[i])
			report(t, all[i], true)
		}
		for range outages {
			must(t, f.write.Exec("UPDATE processes SET well = well - ?, well_since = well_since - ?", time.Hour.Microseconds(), time.Hour.Microseconds()).Error)
			var wg sync.WaitGroup
			for _, p := range all {
				wg.Go(func() {
					if _, err := p.Report(t.Context(), Seen{Well: true}, FaultRules{Interval: recovery}); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if n := f.count(t, "faults", "1 = 1"); n != 1 {
				t.Fatalf("%d faults recorded, want 1", n)
			}
			must(t, f.write.Exec("DELETE FROM faults").Error)
		}
	})
}

func applyAll(t testing.TB, f *fixture, id int64) {
	t.Helper()
	for done := false; !done; {
		var err error
		done, err = f.ApplyFault(t.Context(), id)
		must(t, err)
	}
}

// addFault records a fault that has ended, and applies it.
func addFault(t testing.TB, f *fixture, begin, end time.Time) {
	t.Helper()
	must(t, f.write.Exec("INSERT INTO faults (start, ended, resume, cause, evidence) VALUES (?, ?, ?, 'down', '')",
		micros(begin), micros(end), micros(end.Add(recovery))).Error)
	applyAll(t, f, f.count(t, "faults", "TRUE"))
}

// A fault costs an honest farmer neither a contract nor uptime, and a farmer that died
// before the fault gains nothing.
func TestFaultMovesDeadlines(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		honest, dead, during, later := f.token(t, "honest"), f.token(t, "dead"), f.token(t, "during"), f.token(t, "later")
		mine := f.contracts(t, honest, start, 4, 3)
		f.contracts(t, dead, start, 8)
		f.commit(t, answer(honest, mine[0], true, start.Add(time.Second)))

		const length = 10 * interval
		began, ended := start.Add(20*time.Second), start.Add(20*time.Second+length)
		resume := ended.Add(recovery)
		f.contracts(t, during, began.Add(interval), 32)
		f.contracts(t, later, ended.Add(recovery+time.Second), 16) // is not moved
		addFault(t, f, began, ended)

		for _, c := range []struct {
			token       Token
			due, expiry time.Time
		}{
			{honest, start.Add(interval), start.Add(interval + length)},
			{dead, start.Add(interval), start.Add(interval + length)},
			{during, began.Add(2 * interval), ended.Add(interval)},
			{later, ended.Add(recovery + time.Second + interval), ended.Add(recovery + time.Second + interval)},
		} {
			contracts, err := f.ContractsAfter(ctx, c.token.ID, node.FileHash{}, 10)
			must(t, err)
			for _, got := range contracts {
				want := c.expiry
				if got.Answered { // and its two intervals are over
					want = resume
				}
				// The farmer may ask for its next challenge at the due time that it knows.
				if !got.Due.Equal(c.due) || !got.Expiry().Equal(want) {
					t.Errorf("due %v, want %v; expiry %v, want %v", got.Due, c.due, got.Expiry(), want)
				}
			}
		}
		// The copies that workers hold are stale now. The verdict must count all the same.
		if outcomes := f.commit(t, answer(honest, mine[1], true, ended.Add(time.Second))); outcomes[0] != node.OK {
			t.Errorf("%v for a proof after the fault", outcomes)
		}
		at := ended.Add(recovery)
		if uptime := f.farmer(t, honest, at).Uptime.Percent(at); uptime != 100 {
			t.Errorf("uptime %v of the honest farmer", uptime)
		}
		end := at.Add(10 * interval)
		for _, c := range []struct {
			before     time.Time
			void, live int64
		}{{resume.Add(-1), 0, 5}, {resume, 1, 4}, {start.Add(interval + length - 1), 1, 4}, {start.Add(interval + length), 2, 3}, {end, 3, 0}} {
			expireAll(ctx, t, f, c.before)
			if live := f.count(t, "contracts", "live"); live != c.live || f.count(t, "faults", "voided = ?", c.void) != 1 {
				t.Errorf("%d contracts are live, want %+v", live, c)
			}
			f.checkInvariant(t)
		}
		// The honest farmer proved one of its contracts after the fault.
		for token, want := range map[int64]int64{honest.ID: 1, dead.ID: 0, during.ID: 0, later.ID: 1} {
			if n := f.count(t, "tokens", "id = ? AND expired = ?", token, want); n != 1 {
				t.Errorf("token %d: the number of expired contracts is not %d", token, want)
			}
		}
		// Without the fault, the dead farmer would have been online for one interval.
		without := 100 * float64(interval) / float64(end.Sub(start)-resume.Sub(began))
		if uptime := f.farmer(t, dead, end).Uptime.Percent(end); uptime != without {
			t.Errorf("uptime %v of the dead farmer, without the fault %v", uptime, without)
		}
	})
}

// A farmer that comes back late gets its next challenge at once, and one interval to prove,
// although its contract would have expired soon.
func TestChallengeAfterAFault(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		token := f.token(t, "address")
		c := f.contracts(t, token, start, 4)[0]
		f.commit(t, answer(token, c, true, start))
		ended := start.Add(10 * interval)
		addFault(t, f, start.Add(time.Second), ended)
		late := ended.Add(time.Second)
		advanced, err := f.Advance(t.Context(), token.ID, []int64{c.ContractID}, late, func(c *node.Contract) error {
			c.Issue(c.Challenge, c.State, late)
			return nil
		})
		must(t, err)
		if got := advanced[0]; got.Sequence != 1 || !got.Due.Equal(late.Add(interval)) || !got.Began().Equal(late) {
			t.Errorf("%+v", got)
		}
	})
}

// A contract that is void counts for the fault that moved it, not for a later one that was
// discarded.
func TestVoidCountsForTheFaultThatMovedIt(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		f.contracts(t, f.token(t, "address"), start, 4)
		ended := start.Add(10 * interval)
		addFault(t, f, start.Add(time.Second), ended)
		must(t, f.write.Exec("INSERT INTO faults (start, ended, cause, evidence, discarded, applied) VALUES (?, ?, 'unreachable', '', 1, 1)",
			micros(ended), micros(ended.Add(time.Second))).Error)
		expireAll(t.Context(), t, f, ended.Add(10*interval))
		faults, err := f.Faults(t.Context(), 10)
		must(t, err)
		if len(faults) != 1 || faults[0].Void != 1 {
			t.Errorf("%+v, want one fault with a void contract", faults)
		}
	})
}

func expireAll(ctx context.Context, t testing.TB, f *fixture, before time.Time) {
	t.Helper()
	for n := int64(1); n > 0; {
		var err error
		n, err = f.Expire(ctx, before, 100)
		must(t, err)
	}
}

// A fault is applied in steps, by several processes at once. Every contract moves once.
func TestFaultIsAppliedOnce(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		token := f.token(t, "address")
		f.contracts(t, token, start, slices.Repeat([]int64{1}, 50)...)
		began, ended := start.Add(time.Second), start.Add(time.Minute)
		must(t, f.write.Exec("INSERT INTO faults (start, ended, resume, cause, evidence) VALUES (?, ?, ?, 'down', '')",
			micros(began), micros(ended), micros(ended.Add(recovery))).Error)
		var id int64 // a Galera cluster does not begin with 1
		must(t, f.read.Raw("SELECT id FROM faults").Scan(&id).Error)
		errs := make(chan error)
		for range 3 {
			go func() {
				for done := false; !done; {
					var err error
					if done, err = f.applyFault(t.Context(), id, 7); err != nil {
						errs <- err
						return
					}
				}
				errs <- nil
			}()
		}
		for range 3 {
			must(t, <-errs)
		}
		due, expiry := start.Add(interval), start.Add(interval+ended.Sub(began))
		if n := f.count(t, "contracts", "due = ? AND expiry = ? AND version = 1", micros(due), micros(expiry)); n != 50 {
			t.Errorf("%d of 50 contracts moved once", n)
		}
	})
}

// reportSeen reports what a process has seen.
func reportSeen(t testing.TB, p *Process, seen Seen) FaultState {
	t.Helper()
	seen.Well = true
	state, err := p.Report(t.Context(), seen, FaultRules{Interval: interval, Hold: time.Hour})
	must(t, err)
	return state
}

// No proof arrives, although two farmers should have sent some. The node holds all
// deadlines until it knows whether this is its own fault.
func TestReportFindsSilence(t *testing.T)    { testSilence(t, true) }
func TestReportDiscardsSilence(t *testing.T) { testSilence(t, false) }

func testSilence(t *testing.T, come bool) {
	onEach(t, func(t *testing.T, f *fixture) {
		p := f.NewProcess("one", KindStandalone)
		beat(t, p)
		now, err := f.Now(t.Context())
		must(t, err)
		expected := now.Add(-interval/4 - time.Second)
		a, b, c := f.token(t, "a"), f.token(t, "b"), f.token(t, "c")
		f.contracts(t, a, expected, 4, 3)
		f.contracts(t, b, expected, 8, 7)
		f.commit(t, answer(c, f.contracts(t, c, now.Add(-time.Second), 2)[0], true, now))
		if state := reportSeen(t, p, Seen{}); state.Changed != nil {
			t.Fatalf("%+v, although one of five proofs arrived", state.Changed)
		}
		f.contracts(t, b, expected, 6)
		state := reportSeen(t, p, Seen{})
		begun := state.Changed
		if begun == nil || begun.Cause != node.Unreachable || begun.Silent != 2 || !state.Known.Equal(begun.Start) {
			t.Fatalf("%+v, want a fault", state)
		}
		// A deadline passes.
		must(t, f.write.Exec("UPDATE contracts SET due = ?, expiry = ?", micros(now.Add(-1)), micros(now.Add(-1))).Error) // also c's
		must(t, f.write.Exec("UPDATE tokens SET up_end = ?", micros(now.Add(-1))).Error)
		must(t, f.write.Exec("UPDATE processes SET well_since = well_since - ?", time.Minute.Microseconds()).Error)
		if state := reportSeen(t, p, Seen{}); state.Changed != nil || !state.Known.Equal(begun.Start) {
			t.Fatalf("%+v, want no change", state)
		}
		arrived := Seen{Proofs: node.ProofCounts{Decided: 1}}
		if come {
			reportSeen(t, p, Seen{Back: []int64{a.ID, c.ID}})
		} else {
			reportSeen(t, p, arrived) // other farmers can reach the node
			must(t, f.write.Exec("UPDATE faults SET resume = 1").Error)
		}
		state = reportSeen(t, p, arrived)
		if f := state.Changed; f == nil || f.ID != begun.ID || f.End.IsZero() || f.Discarded == come || len(state.Unapplied) > 0 == f.Discarded {
			t.Fatalf("%+v, want the end", state)
		}
		faults, err := f.Faults(t.Context(), 10)
		must(t, err)
		if len(faults) > 0 != come {
			t.Errorf("faults %+v", faults)
		}
		if come {
			applyAll(t, f, begun.ID)
			expireAll(t.Context(), t, f, now)
			if n := f.count(t, "contracts", "live"); n != 6 {
				t.Errorf("%d contracts are live, want all", n)
			}
		}
	})
}

// A farmer died before the one that is silent now. If the sweeper ends the first one's contract, the
// other has not come back.
func TestExpiredContractsAreNotBack(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		p := f.NewProcess("one", KindStandalone)
		beat(t, p)
		now, err := f.Now(t.Context())
		must(t, err)
		f.contracts(t, f.token(t, "dead"), now.Add(-2*interval), 4)
		silent := f.token(t, "silent")
		f.contracts(t, silent, now.Add(-interval/4-time.Second), 3)
		if state := reportSeen(t, p, Seen{}); state.Changed == nil || state.Changed.Silent != 1 {
			t.Fatalf("%+v, want a fault with one silent farmer", state)
		}
		must(t, f.write.Exec("UPDATE contracts SET due = ?, expiry = ? WHERE token_id = ?", micros(now.Add(-1)), micros(now.Add(-1)), silent.ID).Error)
		must(t, f.write.Exec("UPDATE processes SET well_since = well_since - ?", time.Minute.Microseconds()).Error)
		for range 2 {
			if state := reportSeen(t, p, Seen{Proofs: node.ProofCounts{Decided: 1}}); state.Changed != nil {
				t.Fatalf("%+v, although no farmer has come back", state.Changed)
			}
			expireAll(t.Context(), t, f, now.Add(-interval/2))
		}
	})
}

// A farmer that sends a wrong proof reaches the node.
func TestWrongProofsAreNotSilence(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		p := f.NewProcess("one", KindStandalone)
		beat(t, p)
		now, err := f.Now(t.Context())
		must(t, err)
		a := f.token(t, "a")
		hashes := f.contracts(t, a, now.Add(-interval/4-time.Second), 4)
		f.commit(t, answer(a, hashes[0], false, now))
		if state := reportSeen(t, p, Seen{}); state.Changed != nil {
			t.Errorf("%+v", state.Changed)
		}
	})
}

// A farmer sends no proof for a completed contract, so this is no reason to suspect the node.
func TestCompletedContractsAreNotSilent(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		p := f.NewProcess("one", KindStandalone)
		beat(t, p)
		now, err := f.Now(t.Context())
		must(t, err)
		f.contracts(t, f.token(t, "a"), now.Add(-interval/4-time.Second), 4)
		must(t, f.write.Exec("UPDATE contracts SET completed = 1").Error)
		if state := reportSeen(t, p, Seen{}); state.Changed != nil {
			t.Errorf("%+v", state.Changed)
		}
		must(t, f.write.Exec("UPDATE contracts SET completed = 0").Error)
		if state := reportSeen(t, p, Seen{}); state.Changed == nil {
			t.Error("no fault, although a proof is missing")
		}
	})
}

// The silent farmers come back before any deadline. Then there is nothing to move.
func TestReportForgetsAShortSilence(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		p := f.NewProcess("one", KindStandalone)
		beat(t, p)
		now, err := f.Now(t.Context())
		must(t, err)
		expected := now.Add(-interval/4 - time.Second)
		a := f.token(t, "a")
		c := f.contracts(t, a, expected, 4)
		if state := reportSeen(t, p, Seen{}); state.Changed == nil {
			t.Fatal("no fault")
		}
		f.commit(t, answer(a, c[0], true, now))
		state := reportSeen(t, p, Seen{Proofs: node.ProofCounts{Decided: 1}})
		if state.Changed == nil || !state.Changed.Discarded || f.count(t, "faults", "TRUE") != 0 || len(state.Unapplied) > 0 {
			t.Errorf("%+v, want no trace of a fault", state)
		}
	})
}

// The database's clock steps back by an hour. Reports of the future must neither hide a
// silence nor keep a fault open.
func TestReportAfterAStepBack(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		p := f.NewProcess("one", KindStandalone)
		beat(t, p)
		reportSeen(t, p, Seen{})
		must(t, f.write.Exec("UPDATE processes SET well = well + ?, well_since = well_since + ?", time.Hour.Microseconds(), time.Hour.Microseconds()).Error)
		reportSeen(t, p, Seen{})
		now, err := f.Now(t.Context())
		must(t, err)
		if n := f.count(t, "processes", "well <= ? AND well_since <= ?", micros(now), micros(now)); n != 1 {
			t.Error("the report is still in the future")
		}
	})
}

// Most proofs fail, at two replicas together.
func TestReportFindsFailingProofs(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		p, q := f.NewProcess("one", KindStandalone), f.NewProcess("two", KindAPI)
		beat(t, p)
		beat(t, q)
		now, err := f.Now(t.Context())
		must(t, err)
		reportSeen(t, p, Seen{Proofs: node.ProofCounts{Decided: 6}})
		failing := Seen{Proofs: node.ProofCounts{Undecided: 6, FailingSince: now.Add(-20 * time.Second), FailingUntil: now}}
		reportSeen(t, q, failing)
		if state := reportSeen(t, p, Seen{Proofs: node.ProofCounts{Decided: 6}}); state.Changed != nil {
			t.Fatalf("%+v, although half of the proofs are decided", state.Changed)
		}
		reportSeen(t, p, Seen{Proofs: node.ProofCounts{Decided: 5}})
		state := reportSeen(t, p, Seen{Proofs: node.ProofCounts{Decided: 5}})
		if f := state.Changed; f == nil || f.Cause != node.Failing || !f.Start.Equal(cut(failing.Proofs.FailingSince)) || !state.Known.Equal(f.Start) {
			t.Fatalf("%+v, want a fault", state)
		}
		must(t, f.write.Exec("UPDATE processes SET well_since = well_since - ?", time.Minute.Microseconds()).Error)
		reportSeen(t, q, Seen{})
		if state := reportSeen(t, p, Seen{}); state.Changed == nil || state.Changed.End.IsZero() {
			t.Errorf("%+v, want the end", state)
		}
	})
}

// A maintenance moves the deadlines that lie in it. Challenges that are issued after its
// announcement are due after its end. No farmer's uptime contains it.
func TestMaintenance(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		p := f.NewProcess("one", KindStandalone)
		beat(t, p)
		now, err := f.Now(ctx)
		must(t, err)
		begin, end := now.Add(interval), now.Add(11*interval)
		early, late := f.token(t, "early"), f.token(t, "late")
		f.contracts(t, early, now.Add(interval/2), 4) // is due in the maintenance, which is not announced yet

		m, err := f.AddMaintenance(ctx, begin, end, "new disks")
		must(t, err)
		_, err = f.AddMaintenance(ctx, end.Add(-time.Second), end.Add(time.Hour), "more")
		wantErr(t, err, ErrMaintenanceOverlaps)
		if state := reportSeen(t, p, Seen{Proofs: node.ProofCounts{Decided: 1}}); len(state.Unapplied) > 0 || state.Known.Before(now) {
			t.Errorf("%+v before the maintenance", state)
		}
		back := end.Add(node.Recovery(interval))
		hashes := f.contracts(t, late, now.Add(interval/2), 8)
		contract := func(token Token) *node.Contract {
			contracts, err := f.ContractsAfter(ctx, token.ID, node.FileHash{}, 10)
			must(t, err)
			return &contracts[0]
		}
		due := func(token Token) time.Time { return contract(token).Due }
		if got := due(late); got.Before(back) || got.After(back.Add(time.Minute)) {
			t.Errorf("due %v, want a time soon after %v", got, back)
		}
		f.commit(t, answer(late, hashes[0], true, now.Add(interval/2)))
		moved := due(late)

		// Time passes.
		must(t, f.write.Exec("UPDATE faults SET ended = ?, resume = ?", micros(end), micros(back)).Error)
		applyAll(t, f, m.ID)
		if got := due(late); !got.Equal(moved) {
			t.Errorf("due %v, want it to stay %v", got, moved)
		}
		if got := contract(early).Expiry(); !got.Equal(back.Truncate(time.Microsecond)) {
			t.Errorf("the deadline is %v, want %v", got, back)
		}
		for _, token := range []Token{early, late} {
			if uptime := f.farmer(t, token, back).Uptime; uptime.Percent(back) != 100 || uptime.Sum(back) > interval/2+time.Millisecond {
				t.Errorf("uptime %+v contains the maintenance", uptime)
			}
		}
		f.checkInvariant(t)
	})
}

func TestEndMaintenance(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		now, err := f.Now(ctx)
		must(t, err)
		coming, err := f.AddMaintenance(ctx, now.Add(time.Hour), now.Add(2*time.Hour), "")
		must(t, err)
		running, err := f.AddMaintenance(ctx, now.Add(-time.Hour), now.Add(time.Hour), "")
		must(t, err)
		must(t, f.EndMaintenance(ctx, coming.ID))
		must(t, f.EndMaintenance(ctx, running.ID))
		planned, err := f.Maintenances(ctx)
		must(t, err)
		if len(planned) != 1 || planned[0].ID != running.ID || planned[0].Planned.After(now.Add(time.Minute)) {
			t.Errorf("%+v", planned)
		}
		wantErr(t, f.EndMaintenance(ctx, coming.ID), ErrNotFound)
	})
}

func TestDeclareMaintenance(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		now, err := f.Now(ctx)
		must(t, err)
		at := func(hours int) time.Time { return cut(now.Add(time.Duration(hours) * time.Hour)) }
		added, err := f.AddMaintenance(ctx, at(10), at(11), "added")
		must(t, err)
		// declare declares a maintenance twice, and checks which ones are planned then, besides
		// the added one.
		declare := func(start, end int, reason string, want ...node.Fault) *node.Fault {
			t.Helper()
			var declared *node.Fault
			for range 2 {
				again, err := f.DeclareMaintenance(ctx, &node.Fault{Start: at(start), Planned: at(end), Evidence: reason})
				must(t, err)
				if declared != nil && !declared.Start.Equal(again.Start) {
					t.Errorf("%+v becomes %+v", declared, again)
				}
				declared = again
			}
			planned, err := f.Maintenances(ctx)
			must(t, err)
			planned = slices.DeleteFunc(planned, func(m node.Fault) bool { return m.ID == added.ID })
			if len(planned) != len(want) {
				t.Fatalf("%+v are planned, want %+v", planned, want)
			}
			for i, w := range want {
				got := planned[i]
				if got.Start.Sub(w.Start).Abs() > time.Minute || got.Planned.Sub(w.Planned).Abs() > time.Minute || got.Evidence != w.Evidence {
					t.Errorf("%+v is planned, want %+v", got, w)
				}
			}
			return declared
		}
		is := func(start, end int, reason string) node.Fault {
			return node.Fault{Start: at(start), Planned: at(end), Evidence: reason}
		}
		declare(1, 2, "first", is(1, 2, "first"))
		declare(1, 3, "second", is(1, 3, "second"))
		if m := declare(-3, -1, "over"); m != nil {
			t.Errorf("%+v is declared, but it is over", m)
		}
		_, err = f.DeclareMaintenance(ctx, &node.Fault{Start: at(9), Planned: at(12)})
		wantErr(t, err, ErrMaintenanceOverlaps)
		declare(-1, 2, "begun", is(0, 2, "begun"))
		declare(-1, 4, "longer", is(0, 4, "longer"))
		declare(5, 6, "next", is(0, 0, "longer"), is(5, 6, "next")) // the one that has begun ends
		for range 2 {
			none, err := f.DeclareMaintenance(ctx, nil)
			must(t, err)
			if none != nil {
				t.Errorf("%+v is declared", none)
			}
		}
		if n := f.count(t, "faults", "ended = 0"); n != 2 {
			t.Errorf("%d maintenances, want the added one and the one that ends", n)
		}
	})
}
