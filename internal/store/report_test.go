package store

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

const recovery = 30 * time.Second

func report(t testing.TB, p *Process, well bool) FaultState {
	t.Helper()
	state, err := p.Report(t.Context(), well, recovery)
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

		began, ended := start.Add(20*time.Second), start.Add(20*time.Second+10*interval)
		shift := ended.Add(recovery).Sub(began)
		f.contracts(t, during, began.Add(interval), 32)
		f.contracts(t, later, ended.Add(recovery+time.Second), 16) // is not moved
		addFault(t, f, began, ended)

		for _, c := range []struct {
			token Token
			due   time.Time
		}{{honest, start.Add(interval + shift)}, {dead, start.Add(interval + shift)}, {during, ended.Add(recovery + interval)}, {later, ended.Add(recovery + time.Second + interval)}} {
			contracts, err := f.ContractsAfter(ctx, c.token.ID, node.FileHash{}, 10)
			must(t, err)
			for _, got := range contracts {
				if !got.Due.Equal(c.due) {
					t.Errorf("due %v, want %v", got.Due, c.due)
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
		}{{start.Add(interval + shift - 1), 0, 5}, {start.Add(interval + shift), 1, 4}, {end, 3, 0}} {
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
		without := 100 * float64(interval) / float64(end.Sub(start)-shift)
		if uptime := f.farmer(t, dead, end).Uptime.Percent(end); uptime != without {
			t.Errorf("uptime %v of the dead farmer, without the fault %v", uptime, without)
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
		errs := make(chan error)
		for range 3 {
			go func() {
				for done := false; !done; {
					var err error
					if done, err = f.applyFault(t.Context(), 1, 7); err != nil {
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
		due := micros(start.Add(interval + ended.Add(recovery).Sub(began)))
		if n := f.count(t, "contracts", "due = ? AND expiry = ? AND version = 1", due, due); n != 50 {
			t.Errorf("%d of 50 contracts moved once", n)
		}
	})
}
