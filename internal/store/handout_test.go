package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

func sizes(out []HandedOut) []int64 {
	var s []int64
	for _, h := range out {
		s = append(s, h.Size)
	}
	return s
}

func TestHandOut(t *testing.T) {
	for name, c := range map[string]struct {
		stock  []int64
		room   int64
		limits HandOutLimits
		want   []int64
	}{
		"largest first":         {[]int64{1, 8, 2, 4}, 100, HandOutLimits{Contracts: 10}, []int64{8, 4, 2, 1}},
		"largest that fit":      {[]int64{1, 8, 2, 4}, 7, HandOutLimits{Contracts: 10}, []int64{4, 2, 1}},
		"all of the room":       {[]int64{5, 5, 5, 3, 3, 1}, 14, HandOutLimits{Contracts: 10}, []int64{5, 5, 3, 1}},
		"contract limit":        {[]int64{1, 8, 2, 4}, 100, HandOutLimits{Contracts: 2}, []int64{8, 4}},
		"no contracts":          {[]int64{1}, 100, HandOutLimits{}, nil},
		"address limit":         {[]int64{1, 8, 2, 4}, 100, HandOutLimits{Contracts: 10, BytesPerAddress: 11}, []int64{8, 2, 1}},
		"empty inventory":       {nil, 100, HandOutLimits{Contracts: 10}, nil},
		"nothing fits":          {[]int64{8}, 7, HandOutLimits{Contracts: 10}, nil},
		"negative room":         {[]int64{8}, -1, HandOutLimits{Contracts: 10}, nil},
		"more than a statement": {slices.Repeat([]int64{3}, 250), 1 << 40, HandOutLimits{Contracts: 230}, slices.Repeat([]int64{3}, 230)},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, f *fixture) {
				token := f.token(t, "address")
				f.stock(t, c.stock...)
				out, err := f.HandOut(t.Context(), token, c.room, c.limits, interval, start)
				must(t, err)
				if got := sizes(out); !slices.Equal(got, c.want) {
					t.Errorf("handed out %v, want %v", got, c.want)
				}
				if n := f.count(t, "chunks", "1 = 1"); n != int64(len(c.stock)-len(c.want)) {
					t.Errorf("%d chunks left", n)
				}
				f.checkInvariant(t)
			})
		})
	}
}

// A hand-out starts at a random chunk, but finds all chunks of a size.
func TestHandOutFindsAllChunks(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		token := f.token(t, "address")
		for range 10 {
			f.stock(t, 3, 5, 3, 5, 5, 3)
			out, err := f.HandOut(t.Context(), token, 1<<40, HandOutLimits{Contracts: 6}, interval, start)
			must(t, err)
			if got := sizes(out); !slices.Equal(got, []int64{5, 5, 5, 3, 3, 3}) {
				t.Fatalf("handed out %v", got)
			}
		}
	})
}

// A hand-out skips chunks that another transaction has locked.
func TestHandOutSkipsLockedChunks(t *testing.T) {
	t.Parallel()
	f := newFixture(t, MySQL)
	token := f.token(t, "address")
	f.stock(t, 8, 8, 4)
	must(t, f.transaction(t.Context(), func(tx *tx) error {
		large, err := f.largestChunks(tx, f.key, 8, 1)
		if err != nil {
			return err
		}
		if _, err := f.lockChunks(tx, nil, large, 1); err != nil {
			return err
		}
		out, err := f.HandOut(t.Context(), token, 16, HandOutLimits{Contracts: 2}, interval, start)
		if got := sizes(out); !slices.Equal(got, []int64{8, 4}) {
			t.Errorf("handed out %v", got)
		}
		return err
	}))
	out, err := f.HandOut(t.Context(), token, 16, HandOutLimits{Contracts: 2}, interval, start)
	must(t, err)
	if got := sizes(out); !slices.Equal(got, []int64{8}) {
		t.Errorf("handed out %v after the locks were released", got)
	}
}

func TestHandOutContract(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		token := f.token(t, "address")
		chunk := f.chunk(100)
		must(t, f.Stock(t.Context(), 0, chunk, start))
		out, err := f.HandOut(t.Context(), token, 100, HandOutLimits{Contracts: 1}, interval, start)
		must(t, err)
		due := start.Add(interval)
		h := out[0]
		if h.Seed != chunk.Seed || h.FileHash != chunk.Hash || string(h.Challenge) != string(chunk.Challenge) || !h.Due.Equal(due) {
			t.Errorf("handed out %+v, of chunk %+v", h, chunk)
		}
		c, err := f.Contract(t.Context(), token.ID, chunk.Hash)
		must(t, err)
		if c.TokenID != token.ID || c.KeyID != f.key || c.Size != 100 || c.Interval != interval ||
			c.Sequence != 0 || c.Answered || string(c.State) != string(chunk.State) || c.Due != due {
			t.Errorf("contract %+v", c)
		}
		farmer := f.farmer(t, token, start)
		want := node.Uptime{Since: start, Start: start, End: due}
		if farmer.Uptime != want || farmer.LastDue != due || farmer.Contracts != 1 || farmer.Size != 100 {
			t.Errorf("farmer %+v", farmer)
		}
	})
}

func TestHandOutRefused(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		f.stock(t, 1, 1, 1)
		tokens := []Token{f.token(t, "a"), f.token(t, "b"), f.token(t, "c")}
		for i := range tokens {
			f.move(t, &tokens[i], "192.0.2.1", nil)
		}
		for i, token := range tokens {
			_, err := f.HandOut(t.Context(), token, 100, HandOutLimits{Contracts: 1, TokensPerIP: 2}, interval, start)
			if want := []error{nil, nil, ErrTooManyTokens}[i]; want == nil {
				must(t, err)
			} else {
				wantErr(t, err, want)
			}
		}
		must(t, f.DeleteToken(t.Context(), tokens[0].FarmerID, start))
		_, err := f.HandOut(t.Context(), tokens[0], 100, HandOutLimits{Contracts: 1}, interval, start)
		wantErr(t, err, ErrNotFound)
	})
}

// Expired contracts do not count towards the limit of the SJCX address, even if
// they are not swept.
func TestHandOutAfterExpiry(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		token := f.token(t, "address")
		limits := HandOutLimits{Contracts: 10, BytesPerAddress: 10}
		f.stock(t, 10, 10)
		for i, c := range []struct {
			at   time.Time
			want int
		}{{start, 1}, {start.Add(interval - time.Microsecond), 0}, {start.Add(interval), 1}} {
			out, err := f.HandOut(t.Context(), token, 10, limits, interval, c.at)
			must(t, err)
			if len(out) != c.want {
				t.Errorf("hand-out %d: %d contracts, want %d", i, len(out), c.want)
			}
		}
	})
}

func TestConcurrentHandOuts(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		f.handOutAtOnce(t, f.Store, openStore(t, f.cfg))
	})
}

// handOutAtOnce makes many hand-outs at the same time, through two stores.
func (f *fixture) handOutAtOnce(t *testing.T, stores ...*Store) {
	t.Helper()
	const farmers, addresses, limit = 8, 3, 1000
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		f.stock(t, 1<<random.IntN(7))
	}
	out := make([][]HandedOut, farmers)
	var wg sync.WaitGroup
	for i := range farmers {
		token := f.token(t, fmt.Sprintf("address %d", i%addresses))
		wg.Go(func() {
			for range 20 {
				limits := HandOutLimits{Contracts: 5, BytesPerAddress: limit}
				got, err := stores[i%2].HandOut(t.Context(), token, 150, limits, interval, start)
				if err != nil {
					t.Error(err)
					return
				}
				out[i] = append(out[i], got...)
			}
		})
	}
	wg.Wait()

	seen := map[int64]bool{}
	held := map[int]int64{}
	for i := range farmers {
		for _, h := range out[i] {
			if seen[h.FileID] {
				t.Errorf("file %d handed out twice", h.FileID)
			}
			seen[h.FileID] = true
			held[i%addresses] += h.Size
		}
	}
	for address, bytes := range held {
		if bytes > limit {
			t.Errorf("address %d holds %d bytes of %d", address, bytes, limit)
		}
	}
	if chunks := f.count(t, "chunks", "1 = 1"); chunks+int64(len(seen)) != 300 || len(seen) < 50 {
		t.Errorf("%d chunks left and %d handed out, of 300", chunks, len(seen))
	}
	f.checkInvariant(t)
}

// If a database ignores FOR UPDATE SKIP LOCKED, two hand-outs find the same chunks.
// The second hand-out must fail, with and without pipelining.
func TestDeleteOfTakenChunksFails(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		f.stock(t, 8, 8)
		var ids []int64
		must(t, f.read.Raw("SELECT id FROM chunks").Scan(&ids).Error)
		remove := func(n int, ids ...int64) error {
			return f.pipelined(t.Context(), func(tx *tx) error {
				return tx.execExactly(n, "DELETE FROM chunks WHERE id IN "+idList(ids))
			})
		}
		if err := remove(2, ids[0], 1<<40); err == nil {
			t.Error("one row of two was deleted without an error")
		}
		if n := f.count(t, "chunks", "1 = 1"); n != 2 {
			t.Errorf("%d chunks after a failed transaction, want 2", n)
		}
		must(t, remove(2, ids...))
		if n := f.count(t, "chunks", "1 = 1"); n != 0 {
			t.Errorf("%d chunks left", n)
		}
	})
}
