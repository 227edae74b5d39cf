package store

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// readCopy returns the token's contract in its current state.
func (f *fixture) readCopy(t testing.TB, token Token, h held) *node.Contract {
	t.Helper()
	c, err := f.Contract(t.Context(), token.ID, h.FileHash)
	must(t, err)
	return &c
}

// onCopy returns a verdict that was reached on a copy of the contract.
func onCopy(c *node.Contract, valid bool, received time.Time) Verdict {
	v := answer(Token{ID: c.TokenID}, held{ContractID: c.ID}, valid, received)
	v.Sequence, v.Copy = c.Sequence, c
	return v
}

// crowd is two farmers with contracts, and copies of the contracts. A test may
// change the contracts after it made the copies.
type crowd struct {
	*fixture
	mine, other Token
	copies      []*node.Contract // copies of mine[0], mine[1], other[0]
}

func newCrowd(t *testing.T, f *fixture) *crowd {
	t.Helper()
	c := &crowd{fixture: f, mine: f.token(t, "address"), other: f.token(t, "other")}
	for _, h := range f.contracts(t, c.mine, start, 2, 1) {
		c.copies = append(c.copies, f.readCopy(t, c.mine, h))
	}
	for _, h := range f.contracts(t, c.other, start, 4) {
		c.copies = append(c.copies, f.readCopy(t, c.other, h))
	}
	return c
}

// The outcomes must follow from the rows, even if the copies are stale. If a copy
// is stale, the optimistic attempt must leave no change.
func TestCommitOnCopies(t *testing.T) {
	now := start.Add(interval / 2)
	var (
		ok, again, answered = node.OK, node.OKAgain, node.AlreadyAnswered
		wrong, wrongAgain   = node.Invalid, node.InvalidAgain
	)
	tests := []struct {
		name       string
		before     func(*testing.T, *crowd) // runs after the copies were made
		verdicts   func(*crowd) []Verdict
		optimistic bool // whether the optimistic attempt succeeds
		want       []node.Outcome
	}{
		{name: "equal to the rows", optimistic: true, want: []node.Outcome{ok, ok, wrong}, verdicts: func(c *crowd) []Verdict {
			return []Verdict{onCopy(c.copies[1], true, now), onCopy(c.copies[0], true, now), onCopy(c.copies[2], false, now)}
		}},
		{name: "twice in a batch", optimistic: true, want: []node.Outcome{ok, again, answered}, verdicts: func(c *crowd) []Verdict {
			return []Verdict{onCopy(c.copies[0], true, now), onCopy(c.copies[0], true, now), onCopy(c.copies[0], false, now)}
		}},
		{name: "twice wrong, then right", optimistic: true, want: []node.Outcome{wrong, wrongAgain, ok}, verdicts: func(c *crowd) []Verdict {
			return []Verdict{onCopy(c.copies[0], false, now), onCopy(c.copies[0], false, now), onCopy(c.copies[0], true, now)}
		}},
		{name: "answered since", want: []node.Outcome{ok, again}, verdicts: both(now), before: func(t *testing.T, c *crowd) {
			c.commit(t, onCopy(c.copies[1], true, now))
		}},
		{name: "wrong proof since", want: []node.Outcome{ok, ok}, verdicts: both(now), before: func(t *testing.T, c *crowd) {
			c.commit(t, onCopy(c.copies[1], false, now))
		}},
		{name: "next challenge since", want: []node.Outcome{ok, node.Undecided}, verdicts: both(now), before: func(t *testing.T, c *crowd) {
			c.commit(t, onCopy(c.copies[1], true, now))
			_, err := c.Advance(t.Context(), c.mine.ID, []int64{c.copies[1].ID}, start.Add(interval), issue)
			must(t, err)
		}},
		{name: "swept since", want: []node.Outcome{ok, ok}, verdicts: both(now), before: func(t *testing.T, c *crowd) {
			_, err := c.Expire(t.Context(), start.Add(interval), 10)
			must(t, err)
		}},
		{name: "two versions of a copy", want: []node.Outcome{ok, answered}, before: func(t *testing.T, c *crowd) {
			c.commit(t, onCopy(c.copies[0], false, now))
		}, verdicts: func(c *crowd) []Verdict {
			later := *c.copies[0]
			later.Version++
			later.Wrong = []node.Digest{onCopy(c.copies[0], false, now).Proof}
			return []Verdict{onCopy(c.copies[0], true, now), onCopy(&later, false, now)}
		}},
		{name: "too late by the copy", want: []node.Outcome{ok, node.ContractExpired}, verdicts: func(c *crowd) []Verdict {
			return []Verdict{onCopy(c.copies[0], true, now), onCopy(c.copies[1], true, start.Add(interval))}
		}},
		{name: "another token", want: []node.Outcome{ok, node.ContractNotFound}, verdicts: func(c *crowd) []Verdict {
			foreign := *c.copies[1]
			foreign.TokenID = c.other.ID
			return []Verdict{onCopy(c.copies[0], true, now), onCopy(&foreign, true, now)}
		}},
		{name: "deleted since", want: []node.Outcome{ok, node.ContractNotFound}, verdicts: func(c *crowd) []Verdict {
			return []Verdict{onCopy(c.copies[0], true, now), onCopy(c.copies[2], true, now)}
		}, before: func(t *testing.T, c *crowd) {
			must(t, c.DeleteToken(t.Context(), c.other.FarmerID, start))
		}},
		{name: "one without a copy", want: []node.Outcome{ok, ok}, verdicts: func(c *crowd) []Verdict {
			bare := onCopy(c.copies[1], true, now)
			bare.Copy = nil
			return []Verdict{onCopy(c.copies[0], true, now), bare}
		}},
	}
	onEach(t, func(t *testing.T, f *fixture) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				c := newCrowd(t, f)
				if tt.before != nil {
					tt.before(t, c)
				}
				was := c.state(t)
				verdicts := tt.verdicts(c)
				kept := copiesOf(verdicts)
				if !tt.optimistic {
					_, err := c.Store.commit(t.Context(), verdicts, 3, c.loadCopies)
					if !errors.Is(err, errStaleCopy) {
						t.Errorf("the optimistic attempt: %v, want errStaleCopy", err)
					}
					if now := c.state(t); !reflect.DeepEqual(now, was) {
						t.Errorf("after the failed attempt:\n %+v, before:\n %+v", now, was)
					}
				}
				got := c.commit(t, verdicts...)
				if !slices.Equal(got, tt.want) {
					t.Errorf("outcomes %v, want %v", got, tt.want)
				}
				if !reflect.DeepEqual(copiesOf(verdicts), kept) {
					t.Error("the copies were changed")
				}
				c.compare(t, was, verdicts, got)
				c.checkInvariant(t)
			})
		}
	})
}

// A commit on current copies must not lock contracts.
func TestOptimisticCommit(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		c := newCrowd(t, f)
		_, err := c.Store.commit(t.Context(), both(start)(c), 3, c.loadCopies)
		must(t, err)
		if n := c.state(t).Heartbeats[c.mine.ID]; n != 2 {
			t.Errorf("%d heartbeats", n)
		}
	})
}

// both returns valid verdicts on both contracts of mine.
func both(now time.Time) func(*crowd) []Verdict {
	return func(c *crowd) []Verdict {
		return []Verdict{onCopy(c.copies[0], true, now), onCopy(c.copies[1], true, now)}
	}
}

func copiesOf(verdicts []Verdict) []node.Contract {
	var copies []node.Contract
	for _, v := range verdicts {
		if v.Copy != nil {
			copies = append(copies, *v.Copy)
		}
	}
	return copies
}

// crowdState is the stored state of a crowd.
type crowdState struct {
	Contracts  map[int64]node.Contract
	Live       int64
	Heartbeats map[int64]int64 // by token id
}

func (c *crowd) state(t *testing.T) crowdState {
	t.Helper()
	s := crowdState{
		Contracts:  map[int64]node.Contract{},
		Live:       c.count(t, "contracts", "live = 1 AND token_id IN ?", []int64{c.mine.ID, c.other.ID}),
		Heartbeats: map[int64]int64{},
	}
	for _, token := range []Token{c.mine, c.other} {
		page, err := c.ContractsAfter(t.Context(), token.ID, node.FileHash{}, 10)
		must(t, err)
		for _, contract := range page {
			s.Contracts[contract.ID] = contract
		}
		var beats []int64
		must(t, c.read.Table("tokens").Where("id = ?", token.ID).Pluck("heartbeats", &beats).Error)
		for _, n := range beats {
			s.Heartbeats[token.ID] = n
		}
	}
	return s
}

// compare applies the rules to the earlier state, one verdict at a time, and
// compares the result with the stored state.
func (c *crowd) compare(t *testing.T, was crowdState, verdicts []Verdict, got []node.Outcome) {
	t.Helper()
	for i, v := range verdicts {
		contract, ok := was.Contracts[v.ContractID]
		if !ok || contract.TokenID != v.TokenID {
			continue
		}
		if want := contract.Judge(v.Sequence, v.Proof, v.Valid, v.Received, 3); got[i] != want {
			t.Errorf("verdict %d: %v, want %v", i, got[i], want)
		}
		was.Contracts[v.ContractID] = contract
		if got[i] == node.OK {
			was.Heartbeats[v.TokenID]++
		}
	}
	is := c.state(t)
	if !reflect.DeepEqual(is.Contracts, was.Contracts) || !reflect.DeepEqual(is.Heartbeats, was.Heartbeats) {
		t.Errorf("stored\n %+v, want\n %+v", is, was)
	}
}
