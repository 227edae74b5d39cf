package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// model is the state that the store should have. It is computed only with the rules
// of package node.
type model struct {
	contracts map[int64]*node.Contract // by contract id
	copies    map[int64]*node.Contract // copies of contracts by contract id; some are stale
	tokens    []Token
	beats     map[int64]int64       // by token id
	uptime    map[int64]node.Uptime // by token id
}

// After random operations, the store must equal the model. The counts of the tokens
// must equal those of their rows.
func TestRandomOperations(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		random := rand.New(rand.NewPCG(20260102, 3))
		m := &model{contracts: map[int64]*node.Contract{}, copies: map[int64]*node.Contract{}, beats: map[int64]int64{}, uptime: map[int64]node.Uptime{}}
		for i := range 4 {
			m.tokens = append(m.tokens, f.token(t, fmt.Sprint("address ", i%2)))
		}
		now := start
		for range 120 {
			now = now.Add(time.Duration(random.Int64N(int64(interval / 4)))).Truncate(time.Microsecond)
			switch random.IntN(8) {
			case 0, 1:
				m.handOut(t, f, random, now)
			case 2, 3, 4:
				m.commit(t, f, random, now)
			case 5, 6:
				m.advance(t, f, random, now)
			case 7:
				_, err := f.Expire(t.Context(), now.Add(-time.Duration(random.IntN(2))*interval), 1+random.IntN(5))
				must(t, err)
			}
			f.checkInvariant(t)
		}
		m.compare(t, f, now)
	})
}

func (m *model) handOut(t *testing.T, f *fixture, random *rand.Rand, now time.Time) {
	token := m.tokens[random.IntN(len(m.tokens))]
	for _, h := range f.contracts(t, token, now, 1+random.Int64N(50), 1+random.Int64N(50)) {
		c, err := f.Contract(t.Context(), token.ID, h.FileHash)
		must(t, err)
		m.contracts[c.ID] = &c
		u := m.uptime[token.ID]
		u.Extend(now, c.Expiry())
		m.uptime[token.ID] = u
	}
}

// pick returns the ids of some contracts, in random order.
func (m *model) pick(random *rand.Rand, tokenID int64) []int64 {
	var ids []int64
	for id := int64(1); id <= int64(len(m.contracts)); id++ {
		if c := m.contracts[id]; c != nil && (tokenID == 0 || c.TokenID == tokenID) && random.IntN(3) > 0 {
			ids = append(ids, id)
		}
	}
	random.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return ids
}

// copy makes a copy of the contract if there is none. Usually it also replaces an
// older copy.
func (m *model) copy(random *rand.Rand, c *node.Contract) {
	if m.copies[c.ID] == nil || random.IntN(20) > 0 {
		now := *c
		now.Wrong = slices.Clone(c.Wrong)
		m.copies[c.ID] = &now
	}
}

func (m *model) commit(t *testing.T, f *fixture, random *rand.Rand, now time.Time) {
	var verdicts []Verdict
	for _, id := range m.pick(random, 0) {
		c := m.contracts[id]
		m.copy(random, c)
		valid := random.IntN(4) > 0
		for range 1 + random.IntN(2) {
			verdicts = append(verdicts, Verdict{
				ContractID: id,
				TokenID:    c.TokenID,
				Sequence:   max(0, c.Sequence-random.Int64N(2)),
				Proof:      node.DigestOf(fmt.Append(nil, id, c.Sequence, valid, random.IntN(3))),
				Valid:      valid,
				Received:   now.Add(-time.Duration(random.Int64N(int64(interval / 8)))).Truncate(time.Microsecond),
				Copy:       m.copies[id],
			})
		}
	}
	for batch := range slices.Chunk(verdicts, 1+random.IntN(6)) {
		m.commitBatch(t, f, batch)
	}
}

func (m *model) commitBatch(t *testing.T, f *fixture, verdicts []Verdict) {
	const maxWrong = 2
	judged, err := f.Commit(t.Context(), verdicts, maxWrong)
	must(t, err)
	for i, v := range verdicts {
		c := m.contracts[v.ContractID]
		want := c.Judge(v.Sequence, v.Proof, v.Valid, v.Received, maxWrong)
		if judged[i].Outcome != want {
			t.Errorf("outcome %v, want %v", judged[i].Outcome, want)
		}
		if want == node.OK {
			m.beats[c.TokenID]++
			u := m.uptime[c.TokenID]
			u.Extend(v.Received, c.Expiry())
			m.uptime[c.TokenID] = u
		}
	}
}

func (m *model) advance(t *testing.T, f *fixture, random *rand.Rand, now time.Time) {
	token := m.tokens[random.IntN(len(m.tokens))]
	ids := m.pick(random, token.ID)
	_, err := f.Advance(t.Context(), token.ID, ids, now, issue)
	must(t, err)
	for _, id := range ids {
		if c := m.contracts[id]; c.AwaitsChallenge(now) {
			must(t, issue(c))
		}
	}
}

func (m *model) compare(t *testing.T, f *fixture, now time.Time) {
	live, size := map[int64]int64{}, map[int64]int64{}
	for _, want := range m.contracts {
		got, err := f.Contract(t.Context(), want.TokenID, want.FileHash)
		must(t, err)
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", *want) {
			t.Errorf("contract\n %+v, want\n %+v", got, *want)
		}
		if !want.Expired(now) {
			live[want.TokenID]++
			size[want.TokenID] += want.Size
		}
	}
	if len(live) == 0 || len(m.contracts) < 30 {
		t.Errorf("%d contracts, %d tokens with live ones: too few to prove anything", len(m.contracts), len(live))
	}
	for _, token := range m.tokens {
		farmer := f.farmer(t, token, now)
		if farmer.Contracts != live[token.ID] || farmer.Size != size[token.ID] ||
			farmer.Heartbeats != m.beats[token.ID] || farmer.Uptime != m.uptime[token.ID] {
			t.Errorf("farmer %+v, want %d contracts of %d bytes, %d heartbeats, uptime %+v",
				farmer, live[token.ID], size[token.ID], m.beats[token.ID], m.uptime[token.ID])
		}
	}
}
