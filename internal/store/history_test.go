package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// account holds the times of all events, and the lifetimes of farmers and
// contracts. The tests compute from it what the record should contain.
type account struct {
	farmers []*lifetime
	beats   []moments
	wrong   []moments
}

// lifetime is the lifetime of a farmer or a contract.
type lifetime struct {
	token       Token
	from, until time.Time
	left        bool // until is the time of the deletion, not of the expiry
	contract    *node.Contract
	contracts   []*lifetime
}

type moments struct {
	token Token
	at    time.Time
}

// lasts reports whether l exists at the end of a span. If l ends exactly at that
// time, it still counts.
func (l *lifetime) lasts(end time.Time) bool { return l.from.Before(end) && !l.until.Before(end) }

func within(at, from, to time.Time) bool { return !at.Before(from) && at.Before(to) }

func (a *account) span(start time.Time, step time.Duration) node.Span {
	s, end := node.Span{Start: start}, start.Add(step)
	for _, f := range a.farmers {
		if f.lasts(end) {
			s.Farmers++
		}
		online := false
		for _, c := range f.contracts {
			if c.lasts(end) {
				online = true
				s.Contracts++
				s.Size += c.contract.Size
			}
			if !c.left && within(c.until, start, end) {
				s.Expired++
			}
		}
		if online {
			s.Online++
		}
	}
	for _, b := range a.beats {
		if within(b.at, start, end) {
			s.Heartbeats++
		}
	}
	for _, w := range a.wrong {
		if within(w.at, start, end) {
			s.Wrong++
		}
	}
	return s
}

// day returns the farmer's day, as of now. The time online is the union of the
// lifetimes of the farmer's contracts.
func (a *account) day(f *lifetime, start, now time.Time) node.Day {
	end := earlier(start.Add(24*time.Hour), now)
	d := node.Day{Start: start, Possible: end.Sub(later(start, f.contracts[0].from))}
	reached := start
	for _, c := range f.contracts { // in the order of their starts
		from, until := later(reached, c.from), earlier(end, c.until)
		if until.After(from) {
			d.Online += until.Sub(from)
		}
		reached = later(reached, until)
		if c.lasts(end) {
			d.Contracts++
			d.Size += c.contract.Size
		}
	}
	for _, b := range a.beats {
		if b.token == f.token && within(b.at, start, end) {
			d.Heartbeats++
		}
	}
	for _, w := range a.wrong {
		if w.token == f.token && within(w.at, start, end) {
			d.Wrong++
		}
	}
	return d
}

// night runs random events around a midnight: farmers get contracts, send valid
// and wrong proofs in time or too late, stop, and delete their tokens.
type night struct {
	account
	random  *rand.Rand
	now     time.Time
	pending []Verdict // verdicts on proofs that were received, not yet committed
}

var (
	dusk     = time.Date(2026, 1, 2, 22, 31, 5, 678901000, time.UTC)
	midnight = time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)
)

func (n *night) step(t *testing.T, f *fixture) {
	t.Helper()
	n.now = n.now.Add(time.Duration(n.random.Int64N(int64(24 * time.Second)))).Truncate(time.Microsecond)
	switch n.random.IntN(16) {
	case 0:
		n.come(t, f)
	case 1:
		if n.random.IntN(3) == 0 {
			n.leave(t, f)
		}
	case 2, 3, 4:
		n.handOut(t, f)
	case 5, 6, 7, 8, 9:
		n.receive()
	case 10, 11:
		n.commit(t, f)
	case 12:
		_, err := f.Expire(t.Context(), n.now.Add(-time.Duration(n.random.IntN(2))*interval/2), 1+n.random.IntN(9))
		must(t, err)
	case 13:
		must(t, f.FoldRecord(t.Context(), n.now, RecordConfig{Minutes: time.Hour, Hours: 1000 * time.Hour, FarmerDays: 1000 * time.Hour}))
	default:
		n.advance(t, f)
	}
	f.checkRecord(t, n.now)
}

// present returns the farmers whose tokens exist.
func (n *night) present() []*lifetime {
	return slices.DeleteFunc(slices.Clone(n.farmers), func(f *lifetime) bool { return f.left })
}

func (n *night) come(t *testing.T, f *fixture) {
	hash := node.NewToken().Hash()
	must(t, f.CreateToken(t.Context(), NewToken{Hash: hash, Address: "address", IP: "192.0.2.1", KeyID: f.key}, TokenLimits{}, n.now))
	token, err := f.Token(t.Context(), hash)
	must(t, err)
	n.farmers = append(n.farmers, &lifetime{token: token, from: n.now, until: n.now.AddDate(1, 0, 0)})
}

func (n *night) leave(t *testing.T, f *fixture) {
	there := n.present()
	if len(there) < 4 {
		return
	}
	n.commit(t, f) // after the deletion these verdicts would find no contract
	leaver := there[n.random.IntN(len(there))]
	must(t, f.DeleteToken(t.Context(), leaver.token.FarmerID, n.now))
	leaver.left, leaver.until = true, n.now
	for _, c := range leaver.contracts {
		if c.until.After(n.now) {
			c.left, c.until = true, n.now
		}
	}
}

func (n *night) handOut(t *testing.T, f *fixture) {
	there := n.present()
	if len(there) == 0 {
		return
	}
	// The expiry of a contract is certain only if no proof waits for its verdict.
	n.commit(t, f)
	farmer := there[n.random.IntN(len(there))]
	for _, h := range f.contracts(t, farmer.token, n.now, 1+n.random.Int64N(50), 1+n.random.Int64N(50)) {
		c, err := f.Contract(t.Context(), farmer.token.ID, h.FileHash)
		must(t, err)
		farmer.contracts = append(farmer.contracts, &lifetime{token: farmer.token, from: n.now, until: c.Expiry(), contract: &c})
	}
}

// receive adds valid and wrong proofs for contracts of all farmers.
func (n *night) receive() {
	for _, f := range n.present() {
		for _, c := range f.contracts {
			if n.random.IntN(3) == 0 {
				valid := n.random.IntN(5) > 0
				n.pending = append(n.pending, Verdict{
					ContractID: c.contract.ID, TokenID: f.token.ID, Sequence: c.contract.Sequence, Valid: valid, Received: n.now,
					Proof: node.DigestOf(fmt.Append(nil, c.contract.ID, c.contract.Sequence, valid, n.random.IntN(2))),
				})
			}
		}
	}
}

func (n *night) commit(t *testing.T, f *fixture) {
	t.Helper()
	const maxWrong = 2
	judged, err := f.Commit(t.Context(), n.pending, maxWrong)
	must(t, err)
	for i, v := range n.pending {
		farmer, c := n.find(v.ContractID)
		switch want := c.contract.Judge(v.Sequence, v.Proof, v.Valid, v.Received, maxWrong); want {
		case judged[i].Outcome:
			if want == node.OK {
				c.until = c.contract.Expiry()
				n.beats = append(n.beats, moments{farmer.token, v.Received})
			}
			if want == node.Invalid {
				n.wrong = append(n.wrong, moments{farmer.token, v.Received})
			}
		default:
			t.Fatalf("outcome %v, want %v", judged[i].Outcome, want)
		}
	}
	n.pending = nil
}

func (n *night) find(contractID int64) (farmer, contract *lifetime) {
	for _, f := range n.farmers {
		for _, c := range f.contracts {
			if c.contract.ID == contractID {
				return f, c
			}
		}
	}
	panic("no such contract")
}

func (n *night) advance(t *testing.T, f *fixture) {
	for _, farmer := range n.present() {
		var ids []int64
		for _, c := range farmer.contracts {
			ids = append(ids, c.contract.ID)
			if c.contract.AwaitsChallenge(n.now) {
				must(t, issue(c.contract))
			}
		}
		_, err := f.Advance(t.Context(), farmer.token.ID, ids, n.now, issue)
		must(t, err)
	}
}

// settle commits all verdicts and expires all due contracts, so that the record is
// complete.
func (n *night) settle(t *testing.T, f *fixture) {
	t.Helper()
	n.commit(t, f)
	n.now = n.now.Add(time.Microsecond) // all events are before now
	for got := int64(1000); got == 1000; {
		var err error
		got, err = f.Expire(t.Context(), n.now, 1000)
		must(t, err)
	}
	f.checkRecord(t, n.now)
}

// checkRecord fails the test if the sums of the record differ from the tokens.
func (f *fixture) checkRecord(t *testing.T, now time.Time) {
	t.Helper()
	corrected, err := f.BalanceRecord(t.Context(), now)
	must(t, err)
	if corrected {
		t.Fatal("the record differs from the tokens")
	}
	f.checkInvariant(t)
}

// The test runs random events around midnight. The record must contain every event.
func TestRecord(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		n := &night{random: rand.New(rand.NewPCG(20260102, 5)), now: dusk}
		for n.now.Before(midnight.Add(70 * time.Minute)) {
			n.step(t, f)
		}
		n.settle(t, f)
		if len(n.beats) < 50 || len(n.wrong) < 20 || len(n.farmers)-len(n.present()) < 3 {
			t.Errorf("%d heartbeats, %d wrong: too few to prove anything", len(n.beats), len(n.wrong))
		}
		n.compare(t, f)
		// All farmers go offline. Some return two days later.
		n.now = n.now.Add(50 * time.Hour)
		n.settle(t, f)
		n.compare(t, f)
		for range 40 {
			n.step(t, f)
		}
		n.settle(t, f)
		n.compare(t, f)
	})
}

func (n *night) compare(t *testing.T, f *fixture) {
	t.Helper()
	for _, step := range []time.Duration{time.Minute, time.Hour, 24 * time.Hour} {
		from := n.farmers[0].from
		if step == time.Minute {
			from = later(from, n.now.Add(-time.Hour))
		}
		got, err := f.History(t.Context(), from, n.now, step)
		must(t, err)
		if want := int(n.now.Truncate(step).Sub(from.Truncate(step))/step) + 1; len(got) != want {
			t.Errorf("%d spans of %v, want %d", len(got), step, want)
		}
		for _, g := range got {
			want := n.span(g.Start, step)
			if end := g.Start.Add(step); end.After(n.now) {
				want = n.span(g.Start, n.now.Sub(g.Start)+time.Microsecond) // until now
			}
			if want.Start = g.Start; g != want {
				t.Errorf("%v from %v:\n %+v, want\n %+v", step, g.Start, g, want)
			}
		}
	}
	for _, farmer := range n.present() {
		if len(farmer.contracts) == 0 {
			continue
		}
		got, err := f.FarmerDays(t.Context(), farmer.token.FarmerID, dusk, n.now)
		must(t, err)
		var want []node.Day
		for day := dayOf(farmer.contracts[0].from); day <= dayOf(n.now); day++ {
			want = append(want, n.day(farmer, dayStart(day), n.now))
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("days\n %+v, want\n %+v", got, want)
		}
	}
}

// A proof that was received before midnight counts for that day, even if the proof
// is committed after the farmer's next day has begun.
func TestLateEventCountsForItsDay(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		token := f.token(t, "address")
		at := func(seconds int) time.Time { return midnight.Add(time.Duration(seconds) * time.Second) }
		out := f.contracts(t, token, at(-70), 40) // expires at minute -10
		out = append(out, f.contracts(t, token, at(-40), 30, 20)...)
		f.contracts(t, token, at(5), 10)
		f.commit(t, answer(token, out[1], true, at(-1)), answer(token, out[2], false, at(-2)), answer(token, out[2], true, at(6)))
		_, err := f.Expire(t.Context(), at(30), 10)
		must(t, err)
		got, err := f.FarmerDays(t.Context(), token.FarmerID, start, at(60))
		must(t, err)
		yesterday := dayStart(dayOf(midnight) - 1)
		want := []node.Day{
			{Start: yesterday, Online: 70 * time.Second, Possible: 70 * time.Second, Heartbeats: 1, Wrong: 1, Contracts: 2, Size: 50},
			{Start: midnight, Online: 60 * time.Second, Possible: 60 * time.Second, Heartbeats: 1, Contracts: 3, Size: 60},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("days\n %+v, want\n %+v", got, want)
		}
		if got, err = f.FarmerDays(t.Context(), token.FarmerID, midnight, at(60)); err != nil || !reflect.DeepEqual(got, want[1:]) {
			t.Errorf("since midnight\n %+v, want\n %+v; %v", got, want[1:], err)
		}
		if uptime := want[0].Uptime(); uptime != 100 {
			t.Errorf("uptime %v", uptime)
		}
		_, err = f.FarmerDays(t.Context(), "nobody", start, at(60))
		wantErr(t, err, ErrNotFound)
		must(t, f.FoldRecord(t.Context(), at(2*24*3600), RecordConfig{Minutes: time.Hour, Hours: 24 * time.Hour, FarmerDays: 72 * time.Hour}))
		if n := f.count(t, "farmer_days", "1 = 1"); n != 1 {
			t.Errorf("%d days are kept", n)
		}
		must(t, f.FoldRecord(t.Context(), at(2*24*3600), RecordConfig{Minutes: time.Hour, Hours: 24 * time.Hour, FarmerDays: 24 * time.Hour}))
		if n := f.count(t, "farmer_days", "1 = 1"); n != 0 {
			t.Errorf("%d days are kept", n)
		}
	})
}

// The sweeper expires a contract before the verdict on a proof that arrived in
// time. The verdict must undo the expiry in the record.
func TestVerdictUndoesRecordedExpiry(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		token := f.token(t, "address")
		out := f.contracts(t, token, start, 30)
		swept := start.Add(interval + time.Second)
		check := func(what string, totals node.Totals) {
			t.Helper()
			want := node.Span{Start: dayStart(dayOf(start)), Totals: totals}
			spans, err := f.History(t.Context(), start, swept, 24*time.Hour)
			must(t, err)
			if len(spans) != 1 || spans[0] != want {
				t.Errorf("%s: %+v, want %+v", what, spans, want)
			}
			f.checkRecord(t, swept)
		}
		_, err := f.Expire(t.Context(), swept, 10)
		must(t, err)
		check("swept", node.Totals{Farmers: 1, Expired: 1})
		f.commit(t, answer(token, out[0], true, start.Add(interval-time.Second)))
		check("after the verdict", node.Totals{Farmers: 1, Online: 1, Contracts: 1, Size: 30, Heartbeats: 1})
	})
}

// Folding must keep all sums, even if several processes fold at the same time and
// events arrive late.
func TestFoldRecord(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		stores := []*Store{f.Store, openStore(t, f.cfg)}
		keep := RecordConfig{Minutes: time.Hour, Hours: 24 * time.Hour, FarmerDays: 48 * time.Hour}
		token := f.token(t, "address")
		out := f.contracts(t, token, start, 30, 20)
		for hours := range 60 {
			now := start.Add(time.Duration(hours) * time.Hour)
			if hours == 40 { // no sweeper has run until now
				if _, err := f.Expire(t.Context(), now, 10); err != nil {
					t.Fatal(err)
				}
			}
			var wg sync.WaitGroup
			for _, s := range stores {
				wg.Go(func() {
					if err := s.FoldRecord(context.WithoutCancel(t.Context()), now, keep); err != nil {
						t.Error(err)
					}
				})
			}
			f.token(t, "address") // the token was created at start, but is recorded late
			wg.Wait()
			f.checkRecord(t, now)
		}
		now := start.Add(60 * time.Hour)
		must(t, f.FoldRecord(t.Context(), now, keep))
		if n := f.count(t, "spans", "start > 0"); n != 0 {
			t.Errorf("%d rows of the first hour are left after 60 hours", n)
		}
		spans, err := f.History(t.Context(), now, now, time.Hour)
		must(t, err)
		if want := []node.Span{{Start: now.Truncate(time.Hour), Totals: node.Totals{Farmers: 61}}}; !reflect.DeepEqual(spans, want) {
			t.Errorf("%+v, want %+v", spans, want)
		}
		f.commit(t, answer(token, out[0], true, start)) // later than is possible in production
		f.checkRecord(t, now)
	})
}

// The first BalanceRecord creates a missing record from the tokens. The second must
// change nothing.
func TestBalanceRecord(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		f.contracts(t, f.token(t, "address"), start, 30, 20)
		must(t, f.write.Exec("DELETE FROM spans").Error)
		for _, want := range []bool{true, false} {
			corrected, err := f.BalanceRecord(t.Context(), start)
			must(t, err)
			if corrected != want {
				t.Errorf("corrected %t, want %t", corrected, want)
			}
		}
		spans, err := f.History(t.Context(), start, start, time.Minute)
		must(t, err)
		want := []node.Span{{Start: start.Truncate(time.Minute), Totals: node.Totals{Farmers: 1, Online: 1, Contracts: 2, Size: 50}}}
		if !reflect.DeepEqual(spans, want) {
			t.Errorf("%+v, want %+v", spans, want)
		}
	})
}

// farmerModel is what TestFaultsLeaveTheDays knows of a farmer. No two faults overlap.
type farmerModel struct {
	token        Token
	first, until time.Time // its first contract, and the end of its last one
	faults       []pastFault
}

// day returns the farmer's day without the faults.
func (m *farmerModel) day(start, now time.Time) node.Day {
	online := func(to time.Time) time.Duration {
		from := later(start, m.first)
		sum := max(0, to.Sub(from))
		for _, f := range m.faults {
			sum -= max(0, earlier(f.resume, to).Sub(later(f.start, from)))
		}
		return sum
	}
	end := earlier(start.Add(dayLength), now)
	return node.Day{Start: start, Online: online(earlier(end, m.until)), Possible: online(end)}
}

// One farmer proves always, and the other one stops. Faults of the node come and go, also
// over midnight, for days, and with proofs in them. The days of both farmers must be
// those of a node that had no faults and was not there for as long.
func TestFaultsLeaveTheDays(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		const life = 3 * time.Hour
		for seed := range uint64(8) {
			random := rand.New(rand.NewPCG(seed, 11))
			must(t, f.write.Exec("DELETE FROM faults").Error)
			now := dusk
			honest := &farmerModel{token: f.token(t, fmt.Sprint("honest ", seed)), first: now}
			mortal := &farmerModel{token: f.token(t, fmt.Sprint("mortal ", seed)), first: now}
			farmers := []*farmerModel{honest, mortal}
			prove := func(m *farmerModel, first bool) {
				must(t, f.transaction(t.Context(), func(tx *tx) error {
					token, err := f.lockToken(tx, m.token.ID)
					if err != nil {
						return err
					}
					if first {
						token.addContracts(now, now.Add(life), 1, 10)
					} else {
						token.addHeartbeat(&node.Contract{Interval: life, Due: now.Add(life)}, now)
					}
					return f.saveTokens(tx, []*lockedToken{token})
				}))
				m.until = now.Add(life)
			}
			alive := 3 + random.IntN(40) // steps of the mortal farmer
			step := func(length time.Duration, proofs bool) {
				alive--
				now = now.Add(length).Truncate(time.Second)
				for _, m := range farmers {
					if proofs && now.Before(m.until) && (m == honest || alive > 0) {
						prove(m, false)
					}
				}
			}
			check := func(what string) {
				t.Helper()
				since := dayStart(dayOf(now) - random.Int64N(12))
				for _, m := range farmers {
					got, err := f.FarmerDays(t.Context(), m.token.FarmerID, since, now)
					must(t, err)
					if len(got) == 0 {
						t.Fatal("no days")
					}
					for _, g := range got {
						want := m.day(g.Start, now)
						if g.Online != want.Online || g.Possible != want.Possible || m == honest && g.Online != g.Possible {
							t.Fatalf("seed %d, %s at %v, honest %v, faults %v:\n %+v, want\n %+v", seed, what, now, m == honest, m.faults, g, want)
						}
					}
				}
			}
			minutes := func(limit int64) time.Duration { return time.Duration(1+random.Int64N(limit)) * time.Minute }
			prove(honest, true)
			prove(mortal, true)
			for range 8 {
				for range random.IntN(12) {
					step(minutes(170), true)
				}
				step(minutes(60), true)
				check("before a fault")
				fault := pastFault{start: now}
				id, err := transact(t.Context(), f.Store, func(tx *tx) (int64, error) {
					return tx.insertID("INSERT INTO faults (start, cause, evidence) VALUES (?, 'down', '')", micros(now))
				})
				must(t, err)
				open := func() {
					for _, m := range farmers {
						m.faults = append(m.faults[:len(m.faults):len(m.faults)], fault)
					}
				}
				before := [][]pastFault{honest.faults, mortal.faults}
				length := minutes([]int64{10, 120, 1000, 5000}[random.IntN(4)])
				for end := now.Add(length); now.Before(end); {
					step(min(minutes(170), end.Sub(now)), random.IntN(2) == 0)
					fault.resume = now
					open()
					check("in a fault")
					honest.faults, mortal.faults = before[0], before[1]
				}
				fault.resume = now.Add(recovery)
				must(t, f.write.Exec("UPDATE faults SET ended = ?, resume = ? WHERE id = ?", micros(now), micros(fault.resume), id).Error)
				step(3*time.Second, random.IntN(2) == 0)
				applyAll(t, f, id)
				open()
				for _, m := range farmers {
					if m.until.After(fault.start) {
						m.until = m.until.Add(fault.resume.Sub(fault.start))
					}
				}
				check("in the recovery")
				step(time.Minute, true)
				check("after a fault")
			}
		}
	})
}
