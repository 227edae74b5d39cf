package apiserver_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

// goldenHistory shows the history of three farmers. The first farmer proves its
// contract. The second farmer sends a wrong proof, and its contract expires. The third
// farmer has only a token.
func goldenHistory(t *testing.T, s *transcript) {
	s.comment("there is no farmer yet")
	s.get(t, s.replica, "/status/history")
	s.get(t, s.replica, "/status/history?step=day")

	stays, goes := s.newFarmer(t, 1), s.newFarmer(t, 2)
	c := stays.takeOne(t, "stays")
	s.Clock.Advance(interval / 2)
	goes.takeOne(t, "goes")
	s.newFarmer(t, 3)
	s.accept(t, stays, c)
	s.refuse(t, goes, "goes")
	s.Clock.Advance(interval)
	s.sweep(t)

	s.comment("minute by minute: one contract is proven; the other gets a wrong proof and then expires")
	s.get(t, s.replica, "/status/history?step=minute")
	tag := s.replica.ask(t, "GET", s.prefix+"/status/history", nil).header.Get("ETag")
	s.replica.ask(t, "GET", s.prefix+"/status/history", nil, "If-None-Match", tag).want(t, http.StatusNotModified, "")
	s.comment("one minute, with both forms of a time")
	s.get(t, s.replica, "/status/history?step=minute&from=1767323160&to=1767323160")
	s.get(t, s.replica, "/status/history?step=minute&from=2026-01-02T03:06:10Z&to=2026-01-02T03:06:50Z")
	s.get(t, s.replica, "/status/history?step=minute&from=2026-01-02T04:06:00%2B01:00&to=2026-01-02T03:06:00Z")
	s.comment("a day later, after the sweeper and the recorder have run")
	s.Clock.Advance(24 * time.Hour)
	s.sweep(t)
	s.get(t, s.replica, "/status/history")
	s.get(t, s.replica, "/status/history?step=hour&from=1767322800&to=1767330000")
	s.get(t, s.replica, "/status/history?step=day")
	s.comment("times after now, and times before the record")
	s.get(t, s.replica, "/status/history?step=day&from=1766966400&to=1790000000")

	s.comment("the days of each farmer")
	for _, f := range []*farmer{stays, goes} {
		s.get(t, s.replica, "/status/show/"+f.token.Hash().FarmerID()+"/history")
	}
	s.get(t, s.replica, "/status/show/"+strings.ToUpper(stays.token.Hash().FarmerID())+"/history")
	s.comment("a farmer that never had a contract")
	s.get(t, s.replica, "/status/show/"+node.Token{15: 3}.Hash().FarmerID()+"/history")

	s.comment("invalid requests")
	for _, query := range []string{
		"step=week", "from=yesterday", "to=-1", "to=2026-01-02", "from=1767330000&to=1767322800",
		"from=1790000000", "step=minute&from=1767139200", "step=hour&from=0",
	} {
		s.get(t, s.replica, "/status/history?"+query)
	}
	s.get(t, s.replica, "/status/show/"+strings.Repeat("0", 20)+"/history")
	s.get(t, s.replica, "/status/show/id/history")
	s.post(t, s.replica, "/status/history", "{}")
}

// refuse commits the verdict that a proof for the farmer's first contract is wrong.
func (s *transcript) refuse(t *testing.T, f *farmer, seed string) {
	t.Helper()
	token, err := s.Store.Token(t.Context(), f.token.Hash())
	must(t, err)
	contracts, err := s.Store.ContractsAfter(t.Context(), token.ID, node.FileHash{}, 1)
	must(t, err)
	_, err = s.Store.Commit(t.Context(), []store.Verdict{{
		ContractID: contracts[0].ID, TokenID: token.ID, Proof: node.DigestOf([]byte(seed)), Received: s.Clock.Now(),
	}}, 3)
	must(t, err)
}

// sweep runs the sweeper and the recorder once.
func (s *transcript) sweep(t *testing.T) {
	t.Helper()
	_, err := s.Store.Expire(t.Context(), s.Clock.Now(), 100)
	must(t, err)
	must(t, s.Store.FoldRecord(t.Context(), s.Clock.Now(), store.RecordConfig{Minutes: time.Hour, Hours: 9000 * time.Hour, FarmerDays: 9600 * time.Hour}))
}

// A replica caches each history for 5 seconds, up to a maximum number of histories.
// Requests for many ranges do not evict the histories that all visitors request.
func TestHistoryIsCached(t *testing.T) {
	onEach(t, withoutWorker, func(t *testing.T, h *harness) {
		farmers := func(query string) int64 {
			points := decodeOK[struct{ Points []historyPoint }](t, h.ask(t, "GET", api+"/status/history"+query, nil)).Points
			return points[len(points)-1].Farmers
		}
		h.newFarmer(t, 1)
		for i, step := range []struct {
			pass  time.Duration
			query string
			want  int64
		}{{0, "", 1}, {4 * time.Second, "", 1}, {0, "?step=day", 3}, {time.Second, "", 4}} {
			h.Clock.Advance(step.pass)
			if got := farmers(step.query); got != step.want {
				t.Errorf("request %d returns %d farmers, want %d", i, got, step.want)
			}
			h.newFarmer(t, byte(i+2))
		}
		days := func(n int) int64 {
			return farmers(fmt.Sprint("?step=day&from=", testnode.Start.Add(-time.Duration(n)*24*time.Hour).Unix()))
		}
		for n := range 100 { // more requests than the cache can hold
			days(n)
		}
		if got := farmers(""); got != 4 {
			t.Errorf("%d farmers, want 4: ranges have evicted the history without a range", got)
		}
		h.newFarmer(t, 6)
		if newest, oldest := days(99), days(0); newest != 5 || oldest != 6 {
			t.Errorf("%d and %d farmers, want 5 and 6: the cache contains the newest range, but not the oldest", newest, oldest)
		}
	})
}
