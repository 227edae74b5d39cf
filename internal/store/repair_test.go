package store

import (
	"errors"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// A restore can leave counts that differ from the contracts, and rows that refer to
// rows that do not exist. Repair must correct both, and the record of the totals.
func TestRepair(t *testing.T) {
	tests := []struct {
		name    string
		foreign bool // the fault violates foreign keys
		fault   string
		want    Repaired
	}{
		{name: "nothing is wrong", fault: "UPDATE tokens SET contracts = contracts"},
		{name: "negative counts", fault: "UPDATE tokens SET contracts = -1, size = -5", want: Repaired{Counts: 2}},
		{name: "counts of contracts that vanished", fault: "DELETE FROM contracts WHERE size = 2", want: Repaired{Counts: 1}},
		{name: "all contracts vanished", fault: "DELETE FROM contracts", want: Repaired{Counts: 2}},
		{name: "wrong size", fault: "UPDATE tokens SET size = size + 1 WHERE contracts = 2", want: Repaired{Counts: 1}},
		{name: "contracts without a token", foreign: true, fault: "DELETE FROM tokens WHERE contracts = 2", want: Repaired{Rows: 2}},
		{name: "contracts without a file", foreign: true, fault: "DELETE FROM files WHERE size = 2", want: Repaired{Counts: 1, Rows: 2}},
		{name: "a chunk without a file", foreign: true, fault: "DELETE FROM files WHERE size = 7", want: Repaired{Rows: 2}},
	}
	onEach(t, func(t *testing.T, f *fixture) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				f := newFixture(t, f.cfg.Driver)
				f.contracts(t, f.token(t, "a"), start, 1, 2)
				f.contracts(t, f.token(t, "b"), start, 4)
				f.stock(t, 7)
				_, err := f.Repair(t.Context(), start) // of the first incarnation
				must(t, err)
				f.damage(t, tt.foreign, tt.fault)
				must(t, f.Restored(t.Context()))
				got, err := f.Repair(t.Context(), start.Add(1))
				must(t, err)
				if got != tt.want {
					t.Errorf("repaired %+v, want %+v", got, tt.want)
				}
				f.checkInvariant(t)
				if again, err := f.Repair(t.Context(), start.Add(2)); again != (Repaired{}) || err != nil {
					t.Errorf("the second Repair: %+v, %v", again, err)
				}
				if _, err := f.CleanContracts(t.Context(), 0, start); err != nil {
					t.Error(err)
				}
				if n := f.count(t, "files", "id NOT IN (SELECT file_id FROM chunks) AND id NOT IN (SELECT file_id FROM contracts)"); n != 0 {
					t.Errorf("%d files that nothing refers to", n)
				}
				if corrected, err := f.BalanceRecord(t.Context(), start.Add(3)); corrected || err != nil {
					t.Errorf("the record differs from the tokens: %v, %v", corrected, err)
				}
			})
		}
	})
}

// Until Repair has run, a restored database can have contracts without a token. They must
// stop neither the sweeper, also if they fill its batches, nor the deletion of tokens.
func TestContractsWithoutAToken(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		gone, other := f.token(t, "a"), f.token(t, "b")
		f.contracts(t, gone, start, 1, 2, 3)
		f.contracts(t, other, start.Add(time.Second), 4)
		f.damage(t, true, "DELETE FROM tokens WHERE contracts = 3")
		due := start.Add(interval)
		undo := errors.New("undo")
		wantErr(t, f.transaction(t.Context(), func(tx *tx) error {
			if _, err := f.deleteTokens(tx, []int64{gone.ID}, due); err != nil {
				return err
			}
			return undo
		}), undo)
		for range 4 {
			_, err := f.Expire(t.Context(), due.Add(time.Second), 1)
			must(t, err)
		}
		if farmer := f.farmer(t, other, start); farmer.Contracts != 0 {
			t.Errorf("%d contracts of the other token are left", farmer.Contracts)
		}
		f.checkInvariant(t)
		must(t, f.Restored(t.Context()))
		if got, err := f.Repair(t.Context(), due); err != nil || got.Rows != 3 {
			t.Errorf("repaired %+v, %v, want the contracts of the missing token", got, err)
		}
	})
}

// damage runs a statement, without checking foreign keys if it violates them.
func (f *fixture) damage(t *testing.T, foreign bool, text string) {
	t.Helper()
	conn, err := f.write.pool.Conn(t.Context())
	must(t, err)
	defer conn.Close()
	off, on := "SET foreign_key_checks = 0", "SET foreign_key_checks = 1"
	if f.cfg.Driver == SQLite {
		off, on = "PRAGMA foreign_keys = 0", "PRAGMA foreign_keys = 1"
	}
	for _, s := range []string{off, text, on} {
		if !foreign && s != text {
			continue
		}
		_, err := conn.ExecContext(t.Context(), s)
		must(t, err)
	}
}

// An id of a token must not be used again if the database is set back to an earlier state, because
// jobs and cached records name a token by its id.
func TestTokenIDsComeFromTheHash(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		seen := map[int64]bool{}
		for range 20 {
			token := f.token(t, "address")
			if token.ID != tokenID(token.Hash) || token.ID >= 1<<52 || seen[token.ID] {
				t.Errorf("id %d of the token %x", token.ID, token.Hash)
			}
			seen[token.ID] = true
			must(t, f.DeleteToken(t.Context(), token.FarmerID, start))
		}
		if id := tokenID(node.TokenHash{}); id <= 0 {
			t.Errorf("id %d of a hash of zeros", id)
		}
	})
}

// The database was set back to an earlier state, and the id of a contract became that of another
// contract of the same token. A verdict on a copy of the first contract must not
// change the second one.
func TestCommitOnACopyOfAnotherContractWithTheSameID(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		c := newCrowd(t, f)
		old := *c.copies[0]
		must(t, f.write.Exec("UPDATE contracts SET file_hash = ?, due = due + 1, expiry = expiry + 1 WHERE id = ?",
			make([]byte, 32), old.ID).Error)
		was := c.state(t)
		for _, valid := range []bool{true, false} {
			if got := c.commit(t, onCopy(&old, valid, start)); got[0] != node.Undecided {
				t.Errorf("outcome %v, want undecided", got[0])
			}
		}
		if is := c.state(t); is.Heartbeats[c.mine.ID] != was.Heartbeats[c.mine.ID] || is.Contracts[old.ID].Version != 0 {
			t.Errorf("the other contract changed: %+v, before %+v", is, was)
		}
	})
}
