package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// MaxWrong is the most wrong proofs to one challenge that a contract can
// remember. Commit lowers a larger limit to this one.
const MaxWrong = 256

// Verdict is what a worker decided about a proof.
type Verdict struct {
	ContractID int64
	TokenID    int64
	Sequence   int64 // of the challenge that the proof was verified against
	Proof      node.Digest
	Valid      bool
	Received   time.Time // when the API received the proof

	// Copy is the contract as the worker knew it, read from the database at some
	// earlier time, or nil.
	Copy *node.Contract
}

// Judged is the result of a verdict.
type Judged struct {
	Outcome  node.Outcome
	Contract node.Contract // after the verdict; the zero value if it does not exist
}

// Commit applies verdicts in the given order, in one transaction, and returns
// the result of each. It is optimistic: it judges the verdicts' copies and
// updates each row only if its version still equals the copy's. If any row has
// changed, it rolls back and repeats the work under row locks.
//
// The rule is node.Contract.Judge, so a verdict counts once however often it is
// committed. On ErrUnavailable the caller may retry.
func (s *Store) Commit(ctx context.Context, verdicts []Verdict, maxWrong int) (judged []Judged, err error) {
	defer wrap(&err, "commit %d verdicts", len(verdicts))
	maxWrong = min(maxWrong, MaxWrong)
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
		judged := make([]Judged, len(verdicts))
		for i := range verdicts {
			judged[i] = b.judge(&verdicts[i], maxWrong)
		}
		return judged, b.save(s, t)
	})
}

// errStaleCopy is returned if a copy differs from its row, or may differ.
var errStaleCopy = errors.New("the copy of a contract is stale")

// batch is the contracts that verdicts are about, and their tokens. The tokens
// are locked. The contracts are locked too, or optimistic: taken from copies.
type batch struct {
	tokens     map[int64]*lockedToken
	contracts  map[int64]*judging
	inOrder    []*judging // as loaded
	optimistic bool
}

// judging is a contract while verdicts are applied to it.
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

// loadCopies takes the contracts from the verdicts' copies and assumes that they
// are live. save checks both.
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
	c, received := &j.contract, cut(v.Received)
	outcome := c.Judge(v.Sequence, v.Proof, v.Valid, received, maxWrong)
	switch outcome {
	case node.OK:
		if !j.old.Live {
			// The proof came in time, but the sweeper came before its verdict. A
			// challenge has one OK, so this happens once.
			token.undoExpiry(moment(j.old.Expiry), c.Size)
		}
		token.addHeartbeat(received, c.Expiry())
	case node.Invalid:
		token.addWrong(received)
	}
	return Judged{Outcome: outcome, Contract: *c}
}

// save writes the changed contracts and their tokens. An optimistic contract
// that no verdict changed is not compared with its row, so its copy counts as
// stale.
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
	for _, j := range b.inOrder {
		if j.contract.Version == j.old.Version {
			if b.optimistic {
				return errStaleCopy
			}
			continue
		}
		j.new = j.old.with(&j.contract)
		j.new.Live = j.old.Live || j.contract.Answered
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
	return s.saveTokens(t, slices.Collect(maps.Values(touched)))
}

var contractGuards = contractTable.only("token_id", "version", "live")
