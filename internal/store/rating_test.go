package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// next issues the next challenge of a contract at its due time, and returns a verdict on it.
func (f *fixture) next(t testing.TB, token Token, h held, valid bool) Verdict {
	t.Helper()
	c, err := f.Contract(t.Context(), token.ID, h.FileHash)
	must(t, err)
	current, err := f.Advance(t.Context(), token.ID, []int64{h.ContractID}, c.Due, issue)
	must(t, err)
	v := answer(token, h, valid, c.Due)
	v.Sequence = current[0].Sequence
	return v
}

// slots returns the slots and the good slots of both tracks.
func slots(e node.Evidence) string {
	return fmt.Sprintf("online %.0f of %.0f, correct %.0f of %.0f", e.Online.Good, e.Online.Weight, e.Correct.Good, e.Correct.Weight)
}

func TestTransactionsRateFarmers(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		token := f.token(t, "address")
		out := f.contracts(t, token, start, 4, 3, 2)
		check := func(what, want string) {
			t.Helper()
			if got := slots(f.farmer(t, token, start).Evidence); got != want {
				t.Errorf("%s: %s, want %s", what, got, want)
			}
		}
		check("after the hand-out", "online 0 of 0, correct 0 of 0")
		first := start.Add(time.Second)
		verdicts := []Verdict{answer(token, out[0], true, first), answer(token, out[1], true, first)}
		f.commit(t, verdicts...)
		check("two proofs in an interval", "online 1 of 1, correct 1 of 1")
		f.commit(t, verdicts...)
		check("the same jobs again", "online 1 of 1, correct 1 of 1")
		f.commit(t, f.next(t, token, out[0], true))
		check("a proof in the next interval", "online 2 of 2, correct 2 of 2")
		wrong := f.next(t, token, out[1], false)
		f.commit(t, wrong)
		f.commit(t, wrong)
		check("a wrong proof, twice", "online 2 of 2, correct 1 of 2")
		// The third contract was never answered.
		expireAll(t.Context(), t, f, start.Add(interval))
		check("a missed challenge", "online 1 of 2, correct 1 of 2")
		expireAll(t.Context(), t, f, start.Add(2*interval))
		check("a contract that ends after a wrong proof", "online 1 of 2, correct 1 of 2")

		farmer := f.farmer(t, token, start)
		if !farmer.ProvenSince.Equal(first) || !farmer.LastHeartbeat.Equal(start.Add(interval)) {
			t.Errorf("proven since %v, last heartbeat %v", farmer.ProvenSince, farmer.LastHeartbeat)
		}
		// Of the proofs that arrived in time, the node judges a wrong one first.
		inTime := start.Add(interval - time.Second)
		f.commit(t, answer(token, out[2], false, inTime), answer(token, out[2], true, inTime))
		check("a proof that was in time after all", "online 2 of 2, correct 1 of 2")
		f.checkInvariant(t)
	})
}

func TestFaultsAreNotRated(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		token := f.token(t, "address")
		out := f.contracts(t, token, start, 4, 3)
		f.outlook.Store(&outlook{fault: true, unrated: true})
		f.commit(t, answer(token, out[0], true, start), answer(token, out[1], false, start))
		expireAll(t.Context(), t, f, start.Add(interval))
		if got, want := slots(f.farmer(t, token, start).Evidence), "online 0 of 0, correct 0 of 0"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		f.outlook.Store(&outlook{fault: true}) // the node only suspects itself
		f.commit(t, answer(token, f.contracts(t, token, start, 2)[0], false, start))
		if got, want := slots(f.farmer(t, token, start).Evidence), "online 0 of 0, correct 0 of 1"; got != want {
			t.Errorf("during a suspicion: %s, want %s", got, want)
		}
	})
}

func TestEventsSayWhyContractsEnd(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		token := f.token(t, "address")
		out := f.contracts(t, token, start, 4, 3, 2)
		f.commit(t, answer(token, out[0], true, start), answer(token, out[1], false, start))
		for range 2 { // a repetition changes nothing
			_, err := f.Advance(t.Context(), token.ID, []int64{out[0].ContractID}, start.Add(interval), func(*node.Contract) error { return nil })
			must(t, err)
		}
		expireAll(t.Context(), t, f, start.Add(3*interval))
		void := f.contracts(t, token, start.Add(4*interval), 1)
		addFault(t, f, start.Add(4*interval+time.Second), start.Add(9*interval))
		expireAll(t.Context(), t, f, start.Add(30*interval))
		got := map[node.FileHash]node.Event{}
		events, err := f.FarmerEvents(t.Context(), token.FarmerID)
		must(t, err)
		for i, e := range events {
			got[e.FileHash] = e
			if i > 0 && e.At.After(events[i-1].At) {
				t.Errorf("%v after %v, but the latest event must be the first", e.At, events[i-1].At)
			}
		}
		for i, want := range []node.EventKind{node.EventCompleted, node.EventWrong, node.EventExpired} {
			if e := got[out[i].FileHash]; e.Kind != want || e.FaultID != 0 || e.At.IsZero() {
				t.Errorf("contract %d: %+v, want %s", i, e, want)
			}
		}
		if e := got[void[0].FileHash]; e.Kind != node.EventVoid || e.FaultID == 0 {
			t.Errorf("%+v, want a void contract and its fault", e)
		}
		if n := f.count(t, "tokens", "expired = 2"); n != 1 {
			t.Error("the completed or the void contract counts as expired")
		}
		must(t, f.DeleteToken(t.Context(), token.FarmerID, start))
		if n := f.count(t, "farmer_events", "TRUE"); n != 0 {
			t.Errorf("%d events of a deleted farmer", n)
		}
	})
}

func TestEventsAreBounded(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		token := f.token(t, "address")
		for round := range 3 {
			now := start.Add(time.Duration(round) * 2 * interval)
			sizes := make([]int64, 70)
			for i := range sizes {
				sizes[i] = 1
			}
			f.contracts(t, token, now, sizes...)
			expireAll(t.Context(), t, f, now.Add(interval))
		}
		events, err := f.FarmerEvents(t.Context(), token.FarmerID)
		must(t, err)
		if len(events) != node.KeptEvents || f.count(t, "farmer_events", "TRUE") != node.KeptEvents {
			t.Fatalf("%d events", len(events))
		}
		last := start.Add(4*interval + interval)
		if !events[0].At.Equal(last) || !events[69].At.Equal(last) || events[70].At.Equal(last) {
			t.Error("the events are not the last ones")
		}
		if _, err := f.FarmerEvents(t.Context(), strings.Repeat("0", 20)); err == nil {
			t.Error("a farmer that does not exist has events")
		}
	})
}

func TestSuspendedFarmersGetNoContracts(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		rules := node.ScoreRules{HalfLife: 1000 * interval, MinCorrect: 0.9}
		f.SetScoreRules(rules)
		token := f.token(t, "address")
		out := f.contracts(t, token, start, 1)[0]
		handOut := func(at time.Time) int {
			t.Helper()
			f.stock(t, 1)
			got, err := f.HandOut(ctx, token, 1, HandOutLimits{Contracts: 1}, interval, at)
			must(t, err)
			return len(got)
		}
		f.commit(t, answer(token, out, true, start))
		var now time.Time
		prove := func(times int, wrong bool) {
			for range times {
				v := f.next(t, token, out, true)
				if now = v.Received; wrong {
					bad := v
					bad.Valid, bad.Proof = false, node.DigestOf([]byte(now.String()))
					f.commit(t, bad)
				}
				f.commit(t, v)
			}
		}
		standing := func() node.Standing {
			farmer := f.farmer(t, token, now)
			s, _ := farmer.Standing(rules, now)
			return s
		}
		prove(99, true)
		if standing() != node.Good || handOut(now) != 1 {
			t.Error("suspended, although there are fewer than 100 intervals")
		}
		prove(20, true)
		if standing() != node.Suspended || handOut(now) != 0 {
			t.Errorf("%s, although every interval has a wrong proof", standing())
		}
		farmer := f.farmer(t, token, now)
		if s := farmer.Suspension; s.By != node.ByCorrect || s.Since.IsZero() || !strings.Contains(s.Reason, "90 %") || s.Lifts(rules) == "" {
			t.Errorf("%+v", s)
		}
		wantErr(t, f.Lift(ctx, token.FarmerID, "", now), ErrRuleSuspends)
		// A suspension does not end contracts, so the farmer can prove itself.
		for n := 0; standing() == node.Suspended; n++ {
			if n == 2000 {
				t.Fatal("the suspension does not end")
			}
			prove(10, false)
		}
		if handOut(now) != 1 {
			t.Error("no contract after the suspension has ended")
		}
		must(t, f.Suspend(ctx, token.FarmerID, "asked for it", now))
		prove(1, false)
		if handOut(now) != 0 || standing() != node.Suspended {
			t.Error("a farmer that the operator has suspended got a contract")
		}
		must(t, f.Lift(ctx, token.FarmerID, "answered us", now))
		if handOut(now) != 1 || standing() != node.Good {
			t.Error("no contract after the operator has lifted the suspension")
		}
		events, err := f.FarmerEvents(ctx, token.FarmerID)
		must(t, err)
		kinds := ""
		for _, e := range events {
			if e.Kind == node.EventSuspended || e.Kind == node.EventLifted {
				kinds += string(e.Kind) + " "
				if e.Kind == node.EventLifted && kinds == "lifted " && e.Detail != "answered us" {
					t.Errorf("lifted because of %q", e.Detail)
				}
			}
		}
		if kinds != "lifted suspended lifted suspended " {
			t.Errorf("events: %s", kinds)
		}
		wantErr(t, f.Suspend(ctx, strings.Repeat("0", 20), "", now), ErrNotFound)
	})
}
