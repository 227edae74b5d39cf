package store

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

func TestCommit(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		token, other := f.token(t, "address"), f.token(t, "other")
		out := f.contracts(t, token, start, 8, 7, 6, 5, 4)
		now := start.Add(interval / 2)
		late := start.Add(interval)

		old := answer(token, out[4], true, now)
		old.Sequence = 7
		foreign := answer(other, out[4], true, now)
		deleted := answer(token, held{ContractID: 1 << 40}, true, now)
		var wrongs []Verdict
		for i := range 4 {
			v := answer(token, out[3], false, now)
			v.Proof = node.Digest{byte(i + 1)}
			wrongs = append(wrongs, v)
		}
		batch := []Verdict{
			answer(token, out[2], true, late),
			answer(token, out[1], false, now), answer(token, out[1], false, now), answer(token, out[1], true, now),
			answer(token, out[0], true, now), answer(token, out[0], true, late), answer(token, out[0], false, now),
			old, foreign, deleted,
		}
		batch = append(batch, wrongs...)
		want := []node.Outcome{
			node.ContractExpired,
			node.Invalid, node.InvalidAgain, node.OK,
			node.OK, node.OKAgain, node.AlreadyAnswered,
			node.Undecided, node.ContractNotFound, node.ContractNotFound,
			node.Invalid, node.Invalid, node.Invalid, node.TooManyWrong,
		}
		if got := f.commit(t, batch...); !slices.Equal(got, want) {
			t.Errorf("outcomes\n %v, want\n %v", got, want)
		}
		check := func() {
			t.Helper()
			farmer := f.farmer(t, token, now)
			if farmer.Heartbeats != 2 || farmer.Uptime.End != start.Add(2*interval) {
				t.Errorf("farmer %+v", farmer)
			}
			if n := f.count(t, "tokens", "wrong = 4"); n != 1 {
				t.Error("wrong proofs are not counted")
			}
			f.checkInvariant(t)
		}
		check()
		// If the verdicts are committed again, they must not count again.
		f.commit(t, batch...)
		slices.Reverse(batch)
		f.commit(t, batch...)
		check()
	})
}

// Commit returns the contracts as it stored them.
func TestCommitReturnsStoredContracts(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		token := f.token(t, "address")
		out := f.contracts(t, token, start, 2, 1)
		judged, err := f.Commit(t.Context(), []Verdict{
			answer(token, out[0], true, start), answer(token, out[1], false, start), {ContractID: out[1].ContractID, TokenID: token.ID, Received: start},
		}, 3)
		must(t, err)
		for _, i := range []int{0, 2} {
			stored, err := f.Contract(t.Context(), token.ID, judged[i].Contract.FileHash)
			must(t, err)
			if !reflect.DeepEqual(stored, judged[i].Contract) {
				t.Errorf("stored %+v, returned %+v", stored, judged[i].Contract)
			}
		}
		if n := len(judged[1].Contract.Wrong); n != 1 {
			t.Errorf("%d wrong proofs after the first", n)
		}
	})
}

func TestCommitNothing(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		if judged, err := f.Commit(t.Context(), nil, 3); err != nil || len(judged) != 0 {
			t.Errorf("%v, %v", judged, err)
		}
	})
}

// A proof that arrived in time counts, even if the sweeper expired its contract
// before the verdict.
func TestCommitAfterSweep(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		token := f.token(t, "address")
		out := f.contracts(t, token, start, 2, 1)
		due := start.Add(interval)
		if n, err := f.Expire(t.Context(), due, 10); err != nil || n != 2 {
			t.Fatalf("expired %d, %v", n, err)
		}
		f.checkInvariant(t)
		if got := f.commit(t, answer(token, out[0], true, due.Add(-1))); got[0] != node.OK {
			t.Errorf("outcome %v", got[0])
		}
		f.checkInvariant(t)
		farmer := f.farmer(t, token, due)
		if farmer.Contracts != 1 || farmer.Size != 2 || !farmer.Uptime.Online(due) {
			t.Errorf("farmer %+v", farmer)
		}
	})
}

// Two processes commit verdicts for the same contracts, in overlapping batches
// and in different orders. Each verdict counts once.
func TestConcurrentCommits(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		const tokens, each, workers = 6, 10, 8
		var verdicts []Verdict
		var owners []Token
		for i := range tokens {
			token := f.token(t, fmt.Sprint("address ", i))
			owners = append(owners, token)
			for _, h := range f.contracts(t, token, start, slices.Repeat([]int64{10}, each)...) {
				verdicts = append(verdicts, answer(token, h, true, start.Add(time.Second)), answer(token, h, false, start.Add(time.Second)))
			}
		}
		stores := []*Store{f.Store, openStore(t, f.cfg)}
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				random := rand.New(rand.NewPCG(uint64(w), 0))
				for range 6 {
					batch := slices.Clone(verdicts)
					random.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
					if _, err := stores[w%2].Commit(t.Context(), batch[:len(batch)/2], 3); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		f.commit(t, verdicts...)
		for _, token := range owners {
			if got := f.farmer(t, token, start).Heartbeats; got != each {
				t.Errorf("farmer %s has %d heartbeats, want %d", token.FarmerID, got, each)
			}
		}
		f.checkInvariant(t)
	})
}
