package store

import (
	"context"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/driveshare/downstream-node/internal/node"
)

// MaxWrong is the most wrong proofs to one challenge that a contract can
// remember; a larger limit is taken for this one.
const MaxWrong = 256

// Verdict is what a worker found out about an answer.
type Verdict struct {
	ContractID int64
	TokenID    int64
	Sequence   int64 // of the challenge that it was verified against
	Proof      node.Digest
	Valid      bool
	Received   time.Time // when the answer came in
}

// Judged is what became of a verdict.
type Judged struct {
	Outcome  node.Outcome
	Contract node.Contract // as it is then; the zero value where it is not found
}

// Commit records verdicts, in the order given and all in one transaction, and
// says what became of each. Judging is node.Contract.Judge on what is there
// now, and so a verdict counts once however often it is committed: whoever
// gets ErrUnavailable, or dies, commits again.
func (s *Store) Commit(ctx context.Context, verdicts []Verdict, maxWrong int) (judged []Judged, err error) {
	defer wrap(&err, "commit %d verdicts", len(verdicts))
	err = s.transaction(ctx, func(tx *gorm.DB) error {
		b, err := s.lockBatch(tx, verdicts)
		if err != nil {
			return err
		}
		judged = make([]Judged, len(verdicts))
		for i, v := range verdicts {
			judged[i] = b.judge(v, min(maxWrong, MaxWrong))
		}
		return b.save(s, tx)
	})
	if err != nil {
		return nil, err
	}
	return judged, nil
}

// batch is the locked rows that verdicts are about.
type batch struct {
	tokens    map[int64]*lockedToken
	rows      map[int64]*contractRow
	contracts map[int64]*node.Contract // what the rows become
}

func (s *Store) lockBatch(tx *gorm.DB, verdicts []Verdict) (*batch, error) {
	tokenIDs := make([]int64, len(verdicts))
	contractIDs := make([]int64, len(verdicts))
	for i, v := range verdicts {
		tokenIDs[i], contractIDs[i] = v.TokenID, v.ContractID
	}
	b := &batch{contracts: make(map[int64]*node.Contract, len(verdicts))}
	var err error
	if b.tokens, err = s.lockTokens(tx, tokenIDs); err != nil {
		return nil, err
	}
	if b.rows, err = s.lockContracts(tx, contractIDs); err != nil {
		return nil, err
	}
	for id, row := range b.rows {
		c := row.contract()
		b.contracts[id] = &c
	}
	return b, nil
}

func (b *batch) judge(v Verdict, maxWrong int) Judged {
	c, t := b.contracts[v.ContractID], b.tokens[v.TokenID]
	if c == nil || t == nil || c.TokenID != v.TokenID {
		return Judged{Outcome: node.ContractNotFound}
	}
	received := cut(v.Received)
	outcome := c.Judge(v.Sequence, v.Proof, v.Valid, received, maxWrong)
	switch outcome {
	case node.OK:
		if row := b.rows[c.ID]; !row.Live {
			// The answer came in time and the sweeper before its verdict.
			// It is the one OK of its challenge, and so regained once.
			t.regain(moment(row.Expiry), row.Size)
		}
		t.beat(received, c.Expiry())
	case node.Invalid:
		t.wrong(received)
	}
	return Judged{Outcome: outcome, Contract: *c}
}

// judgedColumns are what judging changes. The due of a challenge stays, and
// how far the expiry is beyond it is the same for all answers of one interval.
var judgedColumns = []string{"version = version + %", "answered", "accepted", "wrong", "expiry = due + %", "live"}

// save writes what judging changed.
//
// accepted is as long in a contract that is not answered as in one that is,
// and not NULL: where no column changes its size the database writes a row
// where it stands, for a third of the cost of one that has to move.
func (b *batch) save(s *Store, tx *gorm.DB) error {
	var changes []change
	touched := map[int64]*lockedToken{}
	for id, c := range b.contracts {
		row := b.rows[id]
		if c.Version == row.Version {
			continue
		}
		touched[c.TokenID] = b.tokens[c.TokenID]
		was := row.contract()
		values := func(c *node.Contract, live bool) []any {
			return []any{
				c.Version - row.Version, c.Answered, c.Accepted[:], wrong(c), micros(c.Expiry()) - micros(c.Due), live,
			}
		}
		changes = append(changes, change{id, values(&was, row.Live), values(c, row.Live || c.Answered)})
	}
	if err := update(tx, "contracts", judgedColumns, changes); err != nil {
		return err
	}
	return s.saveTokens(tx, slices.Collect(maps.Values(touched)))
}
