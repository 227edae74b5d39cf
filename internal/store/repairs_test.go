package store

import (
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// repairs checks what was seen of the copies.
func (f *fixture) wantRepairs(t *testing.T, now time.Time, want node.Repairs) {
	t.Helper()
	got, err := f.Repairs(t.Context(), now)
	must(t, err)
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// A lost copy is recorded until it is replaced, unless a late verdict restores it.
func TestLossesAndRepairsAreRecorded(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		all := threefold(1 << 20)
		all.Redundancy = 2
		var tokens []Token
		for i := range 5 {
			tokens = append(tokens, f.farmerAt(t, fmt.Sprint(i), fmt.Sprintf("10.%d.0.1", i), ""))
		}
		f.contracts(t, tokens[4], start, 8) // of a file without a row in contents
		var contracts []held
		for i := range 2 {
			f.stockOne(t, f.Store, all, start)
			contracts = append(contracts, f.ask(t, tokens[i], 1, start)...)
		}
		f.wantRepairs(t, start, node.Repairs{})
		f.commit(t, answer(tokens[0], contracts[0], true, start))
		due := start.Add(interval)
		expireAll(t.Context(), t, f, due)
		f.wantRepairs(t, due, node.Repairs{Losses: 1})
		f.commit(t, answer(tokens[1], contracts[1], true, start))
		f.wantRepairs(t, due, node.Repairs{})

		place := func(token Token, now time.Time) {
			t.Helper()
			f.stockOne(t, f.Store, all, now)
			if got := f.ask(t, token, 1, now); len(got) != 1 {
				t.Fatalf("%+v", got)
			}
		}
		must(t, f.DeleteToken(t.Context(), tokens[1].FarmerID, due))
		must(t, f.DeleteToken(t.Context(), tokens[4].FarmerID, due))
		f.wantRepairs(t, due, node.Repairs{Losses: 1})
		first := due.Add(repairDelay)
		place(tokens[2], first)
		took := cut(first).Sub(cut(due))
		f.wantRepairs(t, first, node.Repairs{Losses: 1, Repairs: 1, Mean: took, Median: took, P99: took})

		// All copies are lost. The loss of the file's last copy is never repaired.
		lost := first.Add(3 * interval)
		expireAll(t.Context(), t, f, lost)
		want := node.Repairs{Losses: 3, Repairs: 1, Mean: took, Median: took, P99: took}
		f.wantRepairs(t, lost, want)
		clean := func(now time.Time, want int64) {
			t.Helper()
			cleaned, err := f.CleanContracts(t.Context(), time.Second, now)
			must(t, err)
			if cleaned.Losses != want {
				t.Errorf("deleted %d losses, want %d", cleaned.Losses, want)
			}
		}
		clean(lost.Add(lossesKept), 1)
		if n := f.count(t, "losses", "TRUE"); n != 2 {
			t.Errorf("%d losses are left", n)
		}
		f.wantRepairs(t, lost.Add(day), node.Repairs{})
		clean(lost.Add(lossesKept+time.Second), 2)
	})
}

// A repair belongs to the earliest loss of its file, whichever order the ids have.
func TestRepairIsOfTheEarliestLoss(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		const unrepaired, earlierFile, laterFile = 0, 1, 2
		must(t, f.transaction(t.Context(), func(tx *tx) error {
			for _, loss := range []struct{ id, file, content, lost, restored int64 }{
				{1, laterFile, 7, 300, unrepaired},
				{2, earlierFile, 7, 200, unrepaired},
				{3, laterFile, 7, 100, 150},
				{4, earlierFile, 8, 50, unrepaired}, // of another file
				{6, laterFile, 9, 400, unrepaired},
				{5, earlierFile, 9, 400, unrepaired},
			} {
				err := tx.exec("INSERT INTO losses (id, file_id, content_id, lost, restored) VALUES (?, ?, ?, ?, ?)",
					loss.id, loss.file, loss.content, loss.lost, loss.restored)
				if err != nil {
					return err
				}
			}
			return recordRepairs(tx, []int64{7, 9}, time.UnixMicro(500))
		}))
		for id, want := range map[int64]int64{1: 0, 2: 500, 3: 150, 4: 0, 5: 500, 6: 0} {
			if n := f.count(t, "losses", "id = ? AND restored = ?", id, want); n != 1 {
				t.Errorf("loss %d was not restored at %d", id, want)
			}
		}
	})
}

// Without copies nothing is recorded.
func TestPlainFilesHaveNoLosses(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		token := f.farmerAt(t, "a", "10.1.0.1", "")
		held := f.contracts(t, token, start, 8, 8)
		expireAll(t.Context(), t, f, start.Add(interval))
		f.commit(t, answer(token, held[0], true, start))
		must(t, f.DeleteToken(t.Context(), token.FarmerID, start.Add(interval)))
		if n := f.count(t, "losses", "TRUE"); n != 0 {
			t.Errorf("%d losses", n)
		}
	})
}

// The times are those of the repairs in the last 24 hours, also if the losses are older.
func TestRepairTimes(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		now := start.Add(48 * time.Hour)
		must(t, f.transaction(t.Context(), func(tx *tx) error {
			for i := range int64(200) { // 1 to 200 seconds, in another order
				lost := now.Add(-day + time.Duration(i)*time.Minute - time.Hour)
				took := time.Duration(1+i*77%200) * time.Second
				err := tx.exec("INSERT INTO losses (file_id, content_id, lost, restored) VALUES (?, ?, ?, ?)", i, i, micros(lost), micros(lost.Add(took)))
				if err != nil {
					return err
				}
			}
			return nil
		}))
		got, err := f.Repairs(t.Context(), now.Add(-2*time.Hour))
		must(t, err)
		if want := (node.Repairs{Losses: 200, Repairs: 200, Mean: 100500 * time.Millisecond, Median: 100 * time.Second, P99: 198 * time.Second}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		if got, err = f.Repairs(t.Context(), now); err != nil || got.Losses != 139 || got.Repairs <= 139 || got.Repairs > 142 {
			t.Errorf("%+v, %v", got, err)
		}
		if got, err = f.Repairs(t.Context(), now.Add(48*time.Hour)); err != nil || got != (node.Repairs{}) {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// Each look at the copies updates the row of its hour, and counts how long copies were live. If nobody
// looked for long, only a part of that time counts.
func TestCopiesAreRecordedByHour(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		all := threefold(1 << 20)
		token := f.farmerAt(t, "a", "10.1.0.1", "")
		f.stockOne(t, f.Store, all, start)
		f.prove(t, token, f.ask(t, token, 1, start))
		f.stockOne(t, f.Store, all, start)
		f.ask(t, f.farmerAt(t, "b", "10.2.0.1", ""), 1, start)
		hour := start.Truncate(time.Hour).Add(time.Hour)
		look := func(target int64, at time.Time) {
			t.Helper()
			must(t, f.RecordCopies(t.Context(), target, at))
		}
		seconds := func(now time.Time, want float64) {
			t.Helper()
			got, err := f.Repairs(t.Context(), now)
			must(t, err)
			if math.Abs(got.CopyDays*86400-want) > 1e-6 {
				t.Errorf("%v copy-seconds, want %v", got.CopyDays*86400, want)
			}
		}
		look(2, hour)
		seconds(hour, 0)
		look(2, hour.Add(5*time.Minute))
		seconds(hour, 2*300)
		look(2, hour.Add(4*time.Minute)) // the clock was set back
		seconds(hour, 2*300)
		look(1, hour.Add(time.Hour)) // long after
		seconds(hour, 2*300+2*900)
		seconds(hour.Add(day), 2*900)
		hours, err := f.CopyHours(t.Context(), hour)
		must(t, err)
		want := []CopyHour{
			{Start: hour, At: hour.Add(4 * time.Minute), Files: 1, BelowTarget: 1, Copies: 2},
			{Start: hour.Add(time.Hour), At: hour.Add(time.Hour), Files: 1, Copies: 2},
		}
		if !reflect.DeepEqual(hours, want) {
			t.Errorf("%+v, want %+v", hours, want)
		}
		keep := RecordConfig{Minutes: time.Hour, Hours: 24 * time.Hour, FarmerDays: 48 * time.Hour}
		must(t, f.FoldRecord(t.Context(), hour.Add(day+time.Minute), keep))
		if n := f.count(t, "copy_hours", "TRUE"); n != 1 {
			t.Errorf("%d hours are left, want 1", n)
		}
	})
}
