package scale_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/roster"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/test/scale"
)

// world holds records that change, and the farmers in these records.
type world struct {
	*records
	random *rand.Rand
	now    time.Time
	tokens []store.Token
}

func newWorld(t *testing.T, r *records, seed uint64) *world {
	w := &world{records: r, random: rand.New(rand.NewPCG(seed, 1)), now: start}
	for i := range r.size.Farmers {
		w.know(t, scale.Token(i))
	}
	return w
}

func (w *world) know(t *testing.T, token node.Token) {
	t.Helper()
	found, err := w.Token(t.Context(), token.Hash())
	must(t, err)
	w.tokens = append(w.tokens, found)
}

// change makes one random change that a node can make.
func (w *world) change(t *testing.T) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	at := w.random.IntN(len(w.tokens))
	token := w.tokens[at]
	switch w.random.IntN(10) {
	case 0:
		secret := node.NewToken()
		must(t, w.CreateToken(ctx, store.NewToken{
			Hash: secret.Hash(), Address: fmt.Sprint("address ", w.random.IntN(5)), IP: "192.0.2.1", KeyID: w.terms.KeyID,
		}, store.TokenLimits{}, w.now))
		w.know(t, secret)
	case 1:
		must(t, w.DeleteToken(ctx, token.FarmerID, w.now))
		w.tokens = slices.Delete(w.tokens, at, at+1)
	case 2:
		ip := fmt.Sprintf("192.0.2.%d", 2+w.random.IntN(200)) // a move within a network records nothing
		_, err := w.MoveToken(ctx, token.ID, ip, &node.Location{City: fmt.Sprint(w.random.IntN(3)), Lat: 1, Lon: 2}, store.HandOutLimits{})
		must(t, err)
	case 3:
		_, err := w.Expire(ctx, w.now.Add(-time.Minute), 1+w.random.IntN(30))
		must(t, err)
	default:
		w.answer(ctx, t, token)
	}
}

// answer commits verdicts on the farmer's first contracts. It also issues the next
// challenges of contracts that wait for them.
func (w *world) answer(ctx context.Context, t *testing.T, token store.Token) {
	t.Helper()
	contracts, err := w.ContractsAfter(ctx, token.ID, node.FileHash{}, 100)
	must(t, err)
	var verdicts []store.Verdict
	var ids []int64
	for _, c := range contracts {
		ids = append(ids, c.ID)
		verdicts = append(verdicts, store.Verdict{
			ContractID: c.ID, TokenID: token.ID, Sequence: c.Sequence, Proof: node.Digest{byte(w.random.IntN(3))},
			Valid: w.random.IntN(3) > 0, Received: w.now,
		})
	}
	_, err = w.Commit(ctx, verdicts, 3)
	must(t, err)
	_, err = w.Advance(ctx, token.ID, ids, w.now, func(c *node.Contract) error {
		c.Issue([]byte("next"), []byte("state"), c.Due)
		return nil
	})
	must(t, err)
}

// farmers reads each farmer from the store.
func (w *world) farmers(t *testing.T) []node.Farmer {
	t.Helper()
	farmers := make([]node.Farmer, len(w.tokens))
	for i, token := range w.tokens {
		var err error
		farmers[i], err = w.Farmer(t.Context(), token.FarmerID, w.now)
		must(t, err)
	}
	slices.SortFunc(farmers, func(a, b node.Farmer) int { return cmp.Compare(a.ID, b.ID) })
	return farmers
}

// check compares a view with the farmers that are read one by one.
func (w *world) check(t *testing.T, view *roster.View) {
	t.Helper()
	farmers := w.farmers(t)
	online := func(f node.Farmer) int {
		if f.Uptime.Online(w.now) {
			return 1
		}
		return 0
	}
	for sort, compare := range map[roster.Sort]func(a, b node.Farmer) int{
		roster.ByID:         func(a, b node.Farmer) int { return cmp.Compare(a.ID, b.ID) },
		roster.ByAddress:    func(a, b node.Farmer) int { return cmp.Compare(a.Address, b.Address) },
		roster.ByUptime:     func(a, b node.Farmer) int { return cmp.Compare(a.Uptime.Percent(w.now), b.Uptime.Percent(w.now)) },
		roster.ByHeartbeats: func(a, b node.Farmer) int { return cmp.Compare(a.Heartbeats, b.Heartbeats) },
		roster.ByContracts:  func(a, b node.Farmer) int { return cmp.Compare(a.Contracts, b.Contracts) },
		roster.BySize:       func(a, b node.Farmer) int { return cmp.Compare(a.Size, b.Size) },
		roster.ByOnline:     func(a, b node.Farmer) int { return online(a) - online(b) },
	} {
		q := roster.Query{Sort: sort, Desc: w.random.IntN(2) == 0, Online: w.random.IntN(2) == 0, Limit: w.random.IntN(40), Page: w.random.IntN(3)}
		if w.random.IntN(3) == 0 {
			q.Search = []string{farmers[0].ID[:1], farmers[0].Address[1:4], "address 1", "none of them"}[w.random.IntN(4)]
		}
		want := slices.DeleteFunc(slices.Clone(farmers), func(f node.Farmer) bool {
			return q.Online && online(f) == 0 || !strings.HasPrefix(f.ID, q.Search) && !strings.Contains(f.Address, q.Search)
		})
		slices.SortStableFunc(want, func(a, b node.Farmer) int {
			if q.Desc {
				a, b = b, a
			}
			return compare(a, b)
		})
		total := len(want)
		if q.Limit > 0 {
			want = want[min(total, q.Limit*q.Page):min(total, q.Limit*q.Page+q.Limit)]
		}
		page, n := view.List(q)
		got := slices.Collect(page)
		if n != total || len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("%v, %+v: %d of %d farmers, want %d of %d\n%+v\nwant\n%+v", sort, q, len(got), n, len(want), total, got, want)
		}
	}
	w.checkTotals(t, view, farmers)
}

func (w *world) checkTotals(t *testing.T, view *roster.View, farmers []node.Farmer) {
	t.Helper()
	want := node.Totals{Farmers: int64(len(farmers))}
	placed := int64(0)
	for _, f := range farmers {
		if f.Uptime.Online(w.now) {
			want.Online++
		}
		if f.Location != nil {
			placed++
		}
		want.Contracts += f.Contracts
		want.Size += f.Size
		want.Heartbeats += f.Heartbeats
		page, _ := view.List(roster.Query{Search: f.ID})
		if shown := slices.Collect(page); len(shown) != 1 || !reflect.DeepEqual(shown[0], f) {
			t.Errorf("shown %+v, want %+v", shown, f)
		}
	}
	row := w.db.QueryRowContext(t.Context(), "SELECT COALESCE(SUM(wrong), 0), COALESCE(SUM(expired), 0) FROM tokens")
	must(t, row.Scan(&want.Wrong, &want.Expired))
	if got := view.Summary(); got != want {
		t.Errorf("summary\n%+v, want\n%+v", got, want)
	}
	for _, p := range view.Places() {
		placed -= p.Farmers
	}
	if placed != 0 {
		t.Errorf("%d more farmers have a place than the map shows", placed)
	}
}

// After any changes, in any order, a view must equal what the store returns.
func TestRosterIsExact(t *testing.T) {
	onEach(t, scale.Size{Farmers: 60, Contracts: 600, Largest: 100}, func(t *testing.T, r *records) {
		w := newWorld(t, r, 1)
		farmers := roster.New(r.Store, roster.Options{}, slog.Default(), func() time.Time { return w.now })
		for range 25 {
			view, err := farmers.View(t.Context())
			must(t, err)
			w.check(t, view)
			for range w.random.IntN(6) {
				w.change(t)
			}
			w.now = w.now.Add(time.Duration(w.random.Int64N(int64(interval / 6)))).Truncate(time.Microsecond)
			if w.random.IntN(8) == 0 {
				w.now = w.now.Add(11 * time.Minute) // enough time to read all records again
			}
		}
	})
}

// Views are read while the records change. After the changes have ended, the next
// view must be exact.
func TestRosterWhileRecordsChange(t *testing.T) {
	onEach(t, scale.Size{Farmers: 50, Contracts: 500, Largest: 50}, func(t *testing.T, r *records) {
		w := newWorld(t, r, 2)
		now := w.now
		farmers := roster.New(r.Store, roster.Options{}, slog.Default(), func() time.Time { return now })
		done := make(chan struct{})
		var readers sync.WaitGroup
		for range 3 {
			readers.Go(func() {
				for {
					view, err := farmers.View(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					page, total := view.List(roster.Query{Sort: roster.ByUptime, Desc: true})
					if n := len(slices.Collect(page)); n != total || int64(n) != view.Summary().Farmers {
						t.Errorf("%d farmers of %d", n, total)
					}
					select {
					case <-done:
						return
					default:
					}
				}
			})
		}
		for range 60 {
			w.change(t)
		}
		close(done)
		readers.Wait()
		view, err := farmers.View(t.Context())
		must(t, err)
		w.check(t, view)
	})
}
