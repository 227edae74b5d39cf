package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// Verdict is what a worker decided about a proof.
type Verdict struct {
	ContractID int64
	TokenID    int64
	Sequence   int64 // the sequence number of the challenge that the proof was verified against
	Proof      node.Digest
	Valid      bool
	Received   time.Time // when the API received the proof

	// Copy is the contract that the worker used, or nil. The worker read it from
	// the database or the cache before, so it may be stale.
	Copy *node.Contract
}

// Judged is the result of a verdict.
type Judged struct {
	Outcome  node.Outcome
	Contract node.Contract // the contract after the verdict; the zero value if the contract does not exist
}

// Commit applies verdicts in the given order, in one transaction, and returns
// the result of each. It is optimistic: it judges the verdicts' copies and
// updates each row only if its version still equals the copy's. If any row has
// changed, it rolls back and repeats the work under row locks.
//
// A verdict counts once, however often it is committed, because the rule is
// node.Contract.Judge. On ErrUnavailable the caller may retry.
func (s *Store) Commit(ctx context.Context, verdicts []Verdict, maxWrong int) (judged []Judged, err error) {
	defer wrap(&err, "commit %d verdicts", len(verdicts))
	judged, err = s.commit(ctx, verdicts, maxWrong, s.loadCopies)
	if errors.Is(err, errStaleCopy) {
		judged, err = s.commit(ctx, verdicts, maxWrong, s.loadLocked)
	}
	return judged, err
}

func (s *Store) commit(
	ctx context.Context, verdicts []Verdict, maxWrong int, load func(*tx, []Verdict) (*batch, error),
) ([]Judged, error) {
	return pipelined(ctx, s, func(t *tx) ([]Judged, error) {
		b, err := load(t, verdicts)
		if err != nil {
			return nil, err
		}
		for i := range verdicts {
			if token := b.tokens[verdicts[i].TokenID]; token != nil && verdicts[i].Valid {
				if err := s.lookForFault(t, token, cut(verdicts[i].Received)); err != nil {
					return nil, err
				}
			}
		}
		judged := make([]Judged, len(verdicts))
		for i := range verdicts {
			judged[i] = b.judge(&verdicts[i], maxWrong)
		}
		return judged, b.save(s, t)
	})
}

// errStaleCopy is returned if a copy differs from its row, or may differ.
var errStaleCopy = errors.New("the copy of a contract is stale")

// batch is the contracts that verdicts are about, and their tokens. The tokens are
// locked. The contracts either are locked too, or come from copies (an optimistic
// batch).
type batch struct {
	tokens     map[int64]*lockedToken
	contracts  map[int64]*judging
	inOrder    []*judging // in the order in which they were loaded
	optimistic bool
}

// judging is the state of a contract to which verdicts are being applied.
type judging struct {
	old, new contractRow
	contract node.Contract
}

func newBatch(verdicts []Verdict) *batch {
	return &batch{contracts: make(map[int64]*judging, len(verdicts)), inOrder: make([]*judging, 0, len(verdicts))}
}

func (b *batch) add(row contractRow, c node.Contract) {
	j := &judging{old: row, contract: c}
	b.contracts[row.ID] = j
	b.inOrder = append(b.inOrder, j)
}

// loadCopies takes the contracts from the verdicts' copies. It assumes that the
// copies are current and the contracts live; save checks both.
func (s *Store) loadCopies(t *tx, verdicts []Verdict) (*batch, error) {
	b := newBatch(verdicts)
	b.optimistic = true
	for i := range verdicts {
		c := verdicts[i].Copy
		if c == nil {
			return nil, errStaleCopy
		}
		if j := b.contracts[c.ID]; j == nil {
			own := *c
			own.Wrong = slices.Clip(c.Wrong) // judging appends to it
			b.add(contractOf(c), own)
		} else if j.old.Version != c.Version {
			return nil, errStaleCopy
		}
	}
	var err error
	b.tokens, err = s.lockTokens(t, tokensOf(verdicts))
	return b, err
}

// loadLocked locks and reads the contracts.
func (s *Store) loadLocked(t *tx, verdicts []Verdict) (*batch, error) {
	b := newBatch(verdicts)
	var err error
	if b.tokens, err = s.lockTokens(t, tokensOf(verdicts)); err != nil {
		return nil, err
	}
	rows, err := s.lockContracts(t, idsOf(verdicts, func(v Verdict) int64 { return v.ContractID }))
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		b.add(*row, row.contract())
	}
	return b, nil
}

func tokensOf(verdicts []Verdict) []int64 {
	return idsOf(verdicts, func(v Verdict) int64 { return v.TokenID })
}

func (b *batch) judge(v *Verdict, maxWrong int) Judged {
	j, token := b.contracts[v.ContractID], b.tokens[v.TokenID]
	if j == nil || token == nil || j.old.TokenID != v.TokenID {
		return Judged{Outcome: node.ContractNotFound}
	}
	if v.Copy != nil && v.Copy.FileHash != j.contract.FileHash {
		// The database was set back to an earlier state after the copy was made, and the id then
		// became that of another contract of the token.
		return Judged{Outcome: node.Undecided, Contract: j.contract}
	}
	c, received := &j.contract, cut(v.Received)
	outcome := c.Judge(v.Sequence, v.Proof, v.Valid, received, maxWrong)
	switch outcome {
	case node.OK:
		if !j.old.Live {
			// The proof arrived in time, but the sweeper expired the contract
			// before the verdict. This happens at most once for a challenge,
			// because a challenge has one OK.
			token.undoExpiry(&j.old)
		}
		token.addHeartbeat(c, received)
	case node.Invalid:
		token.addWrong(c, received)
	}
	return Judged{Outcome: outcome, Contract: *c}
}

// save writes the changed contracts and their tokens. In an optimistic batch, save
// compares only changed contracts with their rows. If no verdict changed a
// contract, its copy therefore counts as stale.
//
// Every writer increments version. The sweeper is the exception: it clears
// live.
func (b *batch) save(s *Store, t *tx) error {
	u := updating[contractRow]{table: contractTable.name, columns: contractChanges}
	if b.optimistic {
		u.guards = contractGuards
	}
	changes := make([]change[contractRow], 0, len(b.contracts))
	touched := map[int64]*lockedToken{}
	var restored []int64 // files of contracts that had expired
	for _, j := range b.inOrder {
		if j.contract.Version == j.old.Version {
			if b.optimistic {
				return errStaleCopy
			}
			continue
		}
		j.new = j.old.with(&j.contract)
		if j.new.Live = j.old.Live || j.contract.Answered; j.new.Live && !j.old.Live {
			restored = append(restored, j.old.FileID)
		}
		changes = append(changes, change[contractRow]{id: j.old.ID, old: &j.old, new: &j.new})
		touched[j.old.TokenID] = b.tokens[j.old.TokenID]
	}
	found, err := update(t, s.dialect, u, changes)
	switch {
	case err != nil:
		return err
	case b.optimistic && found < int64(len(changes)):
		return errStaleCopy
	}
	if err := countCopies(t, restored, 1, 0, time.Time{}); err != nil {
		return err
	}
	return s.saveTokens(t, slices.Collect(maps.Values(touched)))
}

// contractGuards include due, because an id is used again after the database was set back to an
// earlier state. Contracts that were handed out at different times have
// different dues.
var contractGuards = contractTable.only("token_id", "version", "due", "live")
