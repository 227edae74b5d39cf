package store

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

func TestExpire(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		token := f.token(t, "address")
		out := f.contracts(t, token, start, 4, 3, 2)
		f.commit(t, answer(token, out[0], true, start))
		due := start.Add(interval)
		for _, c := range []struct {
			before time.Time
			limit  int
			want   int64
		}{{due.Add(-time.Microsecond), 10, 0}, {due, 1, 1}, {due, 10, 1}, {due, 10, 0}} {
			n, err := f.Expire(ctx, c.before, c.limit)
			must(t, err)
			if n != c.want {
				t.Errorf("expired %d before %v, want %d", n, c.before, c.want)
			}
			f.checkInvariant(t)
		}
		farmer := f.farmer(t, token, due)
		if farmer.Contracts != 1 || farmer.Size != 4 {
			t.Errorf("farmer %+v", farmer)
		}
		if n := f.count(t, "tokens", "expired = 2"); n != 1 {
			t.Error("expired contracts are not counted")
		}
	})
}

func TestConcurrentExpiry(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		var tokens []Token
		for range 5 {
			token := f.token(t, "address")
			f.contracts(t, token, start, slices.Repeat([]int64{10}, 30)...)
			tokens = append(tokens, token)
		}
		stores := []*Store{f.Store, openStore(t, f.cfg)}
		var wg sync.WaitGroup
		var errs atomic.Int64
		for w := range 4 {
			wg.Go(func() {
				for {
					n, err := stores[w%2].Expire(t.Context(), start.Add(interval), 40)
					if err != nil {
						errs.Add(1)
						t.Error(err)
					}
					if n == 0 || err != nil {
						return
					}
				}
			})
		}
		wg.Wait()
		f.checkInvariant(t)
		for _, token := range tokens {
			if n := f.count(t, "tokens", "id = ? AND contracts = 0 AND expired = 30", token.ID); n != 1 {
				t.Errorf("token %d miscounted", token.ID)
			}
		}
	})
}

func TestClean(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		token, leaver := f.token(t, "address"), f.token(t, "leaver")
		out := f.contracts(t, token, start, 3, 2)
		f.contracts(t, leaver, start, 1)
		must(t, f.DeleteToken(ctx, leaver.FarmerID, start))
		f.stock(t, 10)
		_, _, err := f.Reserve(ctx, f.key, inventory, lease, start)
		must(t, err)
		f.commit(t, answer(token, out[0], true, start))

		due := start.Add(interval)
		clean := func(now time.Time, want Cleaned) {
			t.Helper()
			got, err := f.Clean(ctx, time.Hour, 0, now)
			must(t, err)
			if got != want {
				t.Errorf("cleaned %+v, want %+v", got, want)
			}
			f.checkInvariant(t)
		}
		clean(due, Cleaned{Expired: 1, Tags: 2, Files: 1, Reservations: 1, IPs: 1})
		clean(due, Cleaned{})
		// Until the contract is deleted, its farmer gets the outcome "contract
		// expired".
		c, err := f.Contract(ctx, token.ID, out[1].FileHash)
		if err != nil || !c.Expired(due) {
			t.Errorf("expired contract: %+v, %v", c, err)
		}
		clean(due.Add(time.Hour), Cleaned{Expired: 1, Contracts: 1})
		clean(due.Add(time.Hour+interval), Cleaned{Contracts: 1})
		if n := f.count(t, "files", "1 = 1"); n != 1 {
			t.Errorf("%d files left, want the file of the chunk", n)
		}
		if n := f.count(t, "tags", "1 = 1"); n != 1 {
			t.Errorf("%d tags left, want the tag of the chunk", n)
		}
	})
}

// Only tokens that are older than a day and never had a contract are deleted.
func TestDeleteUnusedTokens(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		used, unused := f.token(t, "address"), f.token(t, "address")
		f.contracts(t, used, start, 1)
		_, err := f.Expire(ctx, start.Add(interval), 10)
		must(t, err)
		later := start.Add(time.Hour)
		must(t, f.CreateToken(ctx, NewToken{Hash: node.NewToken().Hash(), Address: "address", IP: "192.0.2.1", KeyID: f.key}, TokenLimits{}, later))
		for _, c := range []struct {
			before        time.Time
			deleted, left int64
		}{{start, 0, 3}, {start.Add(time.Second), 1, 2}, {start.Add(time.Second), 0, 2}, {later.Add(time.Second), 1, 1}} {
			n, err := f.DeleteUnusedTokens(ctx, c.before, later)
			must(t, err)
			if left := f.count(t, "tokens", "1 = 1"); n != c.deleted || left != c.left {
				t.Errorf("%d tokens deleted and %d left, want %d and %d", n, left, c.deleted, c.left)
			}
		}
		if n := f.count(t, "departures", "farmer_id = ?", unused.FarmerID); n != 1 {
			t.Error("the replicas do not learn that the farmer was deleted")
		}
		if _, err := f.Token(ctx, used.Hash); err != nil {
			t.Error(err)
		}
	})
}

// A token that gets its first contract at the same time is not deleted with it.
func TestDeleteUnusedTokensDuringHandOuts(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		const farmers = 40
		f.stock(t, slices.Repeat([]int64{1}, farmers)...)
		stores := []*Store{f.Store, openStore(t, f.cfg)}
		var handed atomic.Int64
		var wg sync.WaitGroup
		for i := range farmers {
			token := f.token(t, fmt.Sprint("address ", i))
			wg.Go(func() {
				out, err := stores[0].HandOut(t.Context(), token, 1, HandOutLimits{Contracts: 1}, interval, start)
				if err != nil && !errors.Is(err, ErrNotFound) {
					t.Error(err)
				}
				handed.Add(int64(len(out)))
			})
		}
		wg.Go(func() {
			if _, err := stores[1].DeleteUnusedTokens(t.Context(), start.Add(time.Second), start); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		if n := f.count(t, "contracts", "1 = 1"); n != handed.Load() {
			t.Errorf("%d contracts, but %d were handed out", n, handed.Load())
		}
		f.checkInvariant(t)
	})
}

// deleteFiles must not delete a file that is in use.
func TestDeleteFilesKeepsFilesInUse(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		f.stock(t, 1)
		f.contracts(t, f.token(t, "address"), start, 8)
		var ids []int64
		must(t, f.read.Raw("SELECT id FROM files").Scan(&ids).Error)
		must(t, f.transaction(t.Context(), func(t *tx) error { return deleteFiles(t, ids) }))
		if n := f.count(t, "files", "1 = 1"); n != 2 {
			t.Errorf("%d files left, want the 2 in use", n)
		}
	})
}

// TestCleanSparesContractsOfAFault cleans before the node has moved the deadlines of an outage:
// before it runs again, and while the fault is recorded but not applied.
func TestCleanSparesContractsOfAFault(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		token := f.token(t, "address")
		f.contracts(t, token, start, 1)
		due := start.Add(interval)
		must(t, f.write.Exec("INSERT INTO processes (name, kind, seen, well_since, well) VALUES ('api', 'api', 0, ?, ?)",
			micros(start), micros(due.Add(-time.Minute))).Error)
		clean := func(why string, want int64) {
			t.Helper()
			done, err := f.Clean(t.Context(), time.Hour, time.Minute, due.Add(2*time.Minute))
			must(t, err)
			if done.Expired != want {
				t.Errorf("%s: %d contracts expired, want %d", why, done.Expired, want)
			}
		}
		clean("no API replica runs", 0)
		must(t, f.write.Exec("UPDATE processes SET well = ?", micros(due.Add(2*time.Minute))).Error)
		must(t, f.write.Exec("INSERT INTO faults (start, ended, resume, cause, evidence) VALUES (?, ?, ?, 'down', '')",
			micros(due.Add(-time.Minute)), micros(due.Add(time.Minute)), micros(due.Add(time.Minute))).Error)
		clean("the fault is not applied", 0)
		must(t, f.write.Exec("UPDATE faults SET applied = 1").Error)
		clean("the fault is applied", 1)
	})
}
