package store

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

func TestFarmerWithoutExpiredContracts(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		token := f.token(t, "address")
		_, err := f.Farmer(t.Context(), "no such farmer", start)
		wantErr(t, err, ErrNotFound)
		f.contracts(t, token, start, 7)
		id := token.Hash.FarmerID()
		if due, err := f.NextDue(t.Context(), id, start); err != nil || !due.Equal(start.Add(interval)) {
			t.Errorf("the next proof is due at %v: %v", due, err)
		}
		f.contracts(t, token, start.Add(interval/2), 8)
		for now, want := range map[time.Time]time.Time{start.Add(interval): start.Add(interval + interval/2), start.Add(2 * interval): {}} {
			if due, err := f.NextDue(t.Context(), id, now); err != nil || !due.Equal(want) {
				t.Errorf("at %v, the next proof is due at %v, want %v: %v", now, due, want, err)
			}
		}
		farmer := f.farmer(t, token, start.Add(interval)) // the first contract has expired but is not swept
		if farmer.Contracts != 1 || farmer.Size != 8 {
			t.Errorf("farmer %+v", farmer)
		}
	})
}

// follower holds the farmers that FarmersSince has reported.
type follower struct {
	mark    Mark
	farmers map[string]FarmerRecord
	overdue map[int64]Overdue
}

func (r *follower) read(t testing.TB, s *Store, now time.Time) (news FarmerNews) {
	t.Helper()
	news, err := s.FarmersSince(context.WithoutCancel(t.Context()), r.mark, now)
	must(t, err)
	if news.Whole {
		r.farmers = map[string]FarmerRecord{}
	}
	for _, id := range news.Gone {
		delete(r.farmers, id)
	}
	for _, f := range news.Changed {
		r.farmers[f.ID] = *f
	}
	r.mark, r.overdue = news.Mark, news.Overdue
	return news
}

// FarmersSince reports every kind of change to a token.
func TestFarmersSinceReportsEveryChange(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		var r, whole follower
		token, leaver := f.token(t, "address"), f.token(t, "leaver")
		var out []held
		due := start.Add(interval)
		for _, step := range []struct {
			name string
			now  time.Time
			do   func()
		}{
			{"two tokens", start, func() {}},
			{"hand-out", start, func() { out = f.contracts(t, token, start, 30, 20, 10) }},
			{"verdicts", start, func() {
				f.commit(t, answer(token, out[0], true, start), answer(token, out[1], false, start))
			}},
			{"another token", start, func() { f.token(t, "address") }},
			{"challenge", due, func() {
				_, err := f.Advance(ctx, token.ID, []int64{out[0].ContractID}, due, issue)
				must(t, err)
			}},
			{"move", due, func() { f.move(t, &token, "192.0.2.9", &node.Location{City: "Reykjavík"}) }},
			{"sweep", due, func() { _, err := f.Expire(ctx, due, 1); must(t, err) }},
			{"deletion", due, func() { must(t, f.DeleteToken(ctx, leaver.FarmerID, start)) }},
		} {
			step.do()
			r.read(t, f.Store, step.now)
			whole.mark = 0
			if news := whole.read(t, f.Store, step.now); !news.Whole {
				t.Fatal("not all farmers")
			}
			if !reflect.DeepEqual(r.farmers, whole.farmers) || !maps.Equal(r.overdue, whole.overdue) {
				t.Errorf("%s: reported changes lead to\n%+v %v, want\n%+v %v", step.name, r.farmers, r.overdue, whole.farmers, whole.overdue)
			}
			for id, got := range r.farmers {
				want, err := f.Farmer(ctx, id, step.now)
				must(t, err)
				got.Contracts -= r.overdue[got.TokenID].Contracts
				got.Size -= r.overdue[got.TokenID].Size
				if !reflect.DeepEqual(got.Farmer, want) {
					t.Errorf("%s: reported %+v, Farmer returns %+v", step.name, got.Farmer, want)
				}
			}
		}
		got := r.farmers[token.FarmerID]
		if len(r.farmers) != 2 || got.Wrong != 1 || got.Expired != 1 || r.overdue[token.ID] == (Overdue{}) {
			t.Errorf("at the end: %+v, overdue %+v", r.farmers, r.overdue)
		}
	})
}

// FarmersSince does not read unchanged farmers again.
func TestFarmersSinceReadsOnlyChanges(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		var r follower
		var tokens []Token
		for range 5 {
			tokens = append(tokens, f.token(t, "address"))
		}
		must(t, f.write.Exec("UPDATE tokens SET changed = changed - ?", 2*lateCommit.Microseconds()).Error)
		r.read(t, f.Store, start)
		f.contracts(t, tokens[2], start, 1)
		news := r.read(t, f.Store, start)
		if len(news.Changed) != 1 || news.Changed[0].ID != tokens[2].FarmerID {
			t.Errorf("changed: %+v", news.Changed)
		}
		r.mark -= Mark(time.Hour.Microseconds())
		if news := r.read(t, f.Store, start); !news.Whole || len(news.Changed) != 5 {
			t.Errorf("after an hour: %+v", news)
		}
	})
}

// FarmersSince reads one state of the database. A sweeper that runs at the same
// time must not change the data between two statements of FarmersSince.
func TestFarmersSinceReadsOneState(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		token := f.token(t, "address")
		f.contracts(t, token, start, slices.Repeat([]int64{10}, 100)...)
		due := start.Add(interval)
		var sweeping sync.WaitGroup
		sweeping.Go(func() {
			for n := int64(1); n > 0; {
				var err error
				if n, err = f.Expire(context.WithoutCancel(t.Context()), due, 1); err != nil {
					t.Error(err)
				}
			}
		})
		var r follower
		for {
			r.read(t, f.Store, due)
			got, over := r.farmers[token.FarmerID], r.overdue[token.ID]
			if got.Contracts != over.Contracts || got.Size != over.Size {
				t.Fatalf("%d contracts of %d bytes, overdue %+v", got.Contracts, got.Size, over)
			}
			if got.Contracts == 0 {
				break
			}
		}
		sweeping.Wait()
	})
}

// Clean deletes old departures.
func TestCleanDeletesOldDepartures(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		for i, left := range []time.Duration{departuresKept / 2, 2 * departuresKept} {
			token := f.token(t, "address")
			must(t, f.DeleteToken(t.Context(), token.FarmerID, start))
			must(t, f.write.Exec("UPDATE departures SET changed = changed - ? WHERE farmer_id = ?",
				left.Microseconds(), token.FarmerID).Error)
			if n := f.count(t, "departures", "1 = 1"); n != int64(i+1) {
				t.Errorf("%d departures, want %d", n, i+1)
			}
		}
		_, err := f.Clean(t.Context(), time.Hour, 0, start)
		must(t, err)
		if n := f.count(t, "departures", "1 = 1"); n != 1 {
			t.Errorf("%d departures kept, want 1", n)
		}
	})
}
