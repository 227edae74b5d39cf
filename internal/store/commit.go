package store

import (
	"context"
	"errors"
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

	// Copy is the contract as it was when the answer was looked at, as the
	// records had it once; nil where nobody knows.
	Copy *node.Contract
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
//
// What is there now is mostly what the verdicts' copies say. So it judges the
// copies and writes what comes of it where the rows are still of the copies'
// versions; only where one is not, it reads and locks the rows and begins
// again.
func (s *Store) Commit(ctx context.Context, verdicts []Verdict, maxWrong int) (judged []Judged, err error) {
	defer wrap(&err, "commit %d verdicts", len(verdicts))
	maxWrong = min(maxWrong, MaxWrong)
	judged, err = s.commit(ctx, verdicts, maxWrong, s.presumeBatch)
	if errors.Is(err, errPresumed) {
		judged, err = s.commit(ctx, verdicts, maxWrong, s.lockBatch)
	}
	return judged, err
}

func (s *Store) commit(
	ctx context.Context, verdicts []Verdict, maxWrong int, open func(*gorm.DB, []Verdict) (*batch, error),
) (judged []Judged, err error) {
	err = s.pipelined(ctx, func(tx *gorm.DB) error {
		b, err := open(tx, verdicts)
		if err != nil {
			return err
		}
		judged = make([]Judged, len(verdicts))
		for i := range verdicts {
			judged[i] = b.judge(&verdicts[i], maxWrong)
		}
		return b.save(s, tx)
	})
	if err != nil {
		return nil, err
	}
	return judged, nil
}

// errPresumed is returned where the copies of contracts were not what the
// records say, or may not have been.
var errPresumed = errors.New("a contract is not as its copy says")

// batch is the tokens that verdicts are about, which are locked, and the
// contracts, which are locked too or presumed to be as their copies say.
type batch struct {
	tokens    map[int64]*lockedToken
	contracts map[int64]*judging
	inOrder   []*judging // of the verdicts, which mostly is that of the rows
	presumed  bool
}

func newBatch(verdicts []Verdict) *batch {
	return &batch{contracts: make(map[int64]*judging, len(verdicts)), inOrder: make([]*judging, 0, len(verdicts))}
}

func (b *batch) add(was *node.Contract, live bool) {
	j := &judging{was: was, live: live, now: *was}
	j.now.Wrong = slices.Clip(j.now.Wrong) // was keeps what it has
	b.contracts[was.ID] = j
	b.inOrder = append(b.inOrder, j)
}

// judging is a contract on which verdicts are given.
type judging struct {
	was  *node.Contract
	live bool // was
	now  node.Contract
}

// presumeBatch takes the contracts for what the verdicts' copies say. None of
// them is over: the save sees to that.
func (s *Store) presumeBatch(tx *gorm.DB, verdicts []Verdict) (*batch, error) {
	b := newBatch(verdicts)
	b.presumed = true
	for i := range verdicts {
		c := verdicts[i].Copy
		if c == nil {
			return nil, errPresumed
		}
		if j := b.contracts[c.ID]; j == nil {
			b.add(c, true)
		} else if j.was.Version != c.Version {
			return nil, errPresumed
		}
	}
	var err error
	b.tokens, err = s.lockTokens(tx, tokensOf(verdicts))
	return b, err
}

// lockBatch locks the contracts, and finds those that there are.
func (s *Store) lockBatch(tx *gorm.DB, verdicts []Verdict) (*batch, error) {
	b := newBatch(verdicts)
	var err error
	if b.tokens, err = s.lockTokens(tx, tokensOf(verdicts)); err != nil {
		return nil, err
	}
	ids := make([]int64, len(verdicts))
	for i := range verdicts {
		ids[i] = verdicts[i].ContractID
	}
	rows, err := s.lockContracts(tx, ids)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		c := row.contract()
		b.add(&c, row.Live)
	}
	return b, nil
}

func tokensOf(verdicts []Verdict) []int64 {
	ids := make([]int64, len(verdicts))
	for i := range verdicts {
		ids[i] = verdicts[i].TokenID
	}
	return ids
}

func (b *batch) judge(v *Verdict, maxWrong int) Judged {
	j, t := b.contracts[v.ContractID], b.tokens[v.TokenID]
	if j == nil || t == nil || j.was.TokenID != v.TokenID {
		return Judged{Outcome: node.ContractNotFound}
	}
	c, received := &j.now, cut(v.Received)
	outcome := c.Judge(v.Sequence, v.Proof, v.Valid, received, maxWrong)
	switch outcome {
	case node.OK:
		if !j.live {
			// The answer came in time and the sweeper before its verdict.
			// It is the one OK of its challenge, and so regained once.
			t.regain(j.was.Expiry(), c.Size)
		}
		t.beat(received, c.Expiry())
	case node.Invalid:
		t.wrong(received)
	}
	return Judged{Outcome: outcome, Contract: *c}
}

// changed says whether a verdict counted.
func (j *judging) changed() bool { return j.now.Version != j.was.Version }

// judgedBy is what judging changes. The due of a challenge stays, and how far
// the expiry is beyond it is the same for all answers of one interval.
//
// accepted is as long in a contract that is not answered as in one that is,
// and not NULL: where no column changes its size the database writes a row
// where it stands, for a third of the cost of one that has to move.
var judgedBy = updating{
	table:   "contracts",
	columns: []string{"version = version + %", "answered", "accepted", "wrong", "expiry = due + %", "live"},
}

// judgedIfAsPresumed changes those rows alone that are what their copies say.
// Whatever changes a row counts its version up, but for the sweeper, who takes
// its live away.
var judgedIfAsPresumed = updating{
	table:   judgedBy.table,
	columns: judgedBy.columns,
	guards:  []string{"token_id", "version"},
	when:    "live = 1",
}

// save writes what judging changed. A presumed contract that no verdict
// changed was not held against its row, and so nothing is known of it.
func (b *batch) save(s *Store, tx *gorm.DB) error {
	changes := make([]change, 0, len(b.contracts))
	touched := map[int64]*lockedToken{}
	for _, j := range b.inOrder {
		switch {
		case j.changed():
			changes = append(changes, j.change())
			touched[j.was.TokenID] = b.tokens[j.was.TokenID]
		case b.presumed:
			return errPresumed
		}
	}
	how := judgedBy
	if b.presumed {
		how = judgedIfAsPresumed
	}
	found, err := s.update(tx, how, changes)
	switch {
	case err != nil:
		return err
	case b.presumed && found < int64(len(changes)):
		return errPresumed
	}
	return s.saveTokens(tx, slices.Collect(maps.Values(touched)))
}

func (j *judging) change() change {
	values := func(c *node.Contract, live bool) []value {
		return []value{
			integer(c.Version - j.was.Version), flag(c.Answered), blob(c.Accepted[:]), blob(wrong(c)),
			integer(micros(c.Expiry()) - micros(c.Due)), flag(live),
		}
	}
	return change{
		id:    j.was.ID,
		old:   values(j.was, j.live),
		new:   values(&j.now, j.live || j.now.Answered),
		guard: []value{integer(j.was.TokenID), integer(j.was.Version)},
	}
}
