package apiserver_test

import (
	"bytes"
	"net/http"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

// wantUnavailable checks that the response is a 503 with Retry-After.
func (a response) wantUnavailable(t testing.TB) {
	t.Helper()
	a.want(t, http.StatusServiceUnavailable, `"status":"error"`)
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestRedisDown(t *testing.T) {
	t.Parallel()
	redis := testenv.StartRedis(t, testenv.Fast)
	h := openHarness(t, testnode.Embedded, func(p *plan) { p.cfg.Redis.Server.URL = config.Secret(redis.NewURL(t)) })
	f := h.newFarmer(t, 1)
	c := f.takeOne(t, "seed")
	proof := f.prove(t, c, nil)

	redis.Terminate(t)
	f.submit(t, c, proof).wantUnavailable(t)
	f.ask(t, "POST", f.at("answer"), proofs{[]proofOf{{c.FileHash, proof}}}).wantUnavailable(t)
	// These routes do not need Redis, because their data is in the store.
	f.ask(t, "GET", f.at("challenge", c.FileHash), nil).want(t, http.StatusOK, "challenge")
	f.ask(t, "GET", f.at("challenge"), nil).want(t, http.StatusOK, "challenge")
	f.ask(t, "GET", f.at("chunk"), nil).want(t, http.StatusOK, "chunks")
	f.ask(t, "GET", api+"/status/list", nil).want(t, http.StatusOK, "farmers")

	redis.Start(t)
	waitFor(t, "a verdict", func() bool { return f.submit(t, c, proof).status == http.StatusOK })
	if n := f.heartbeats(t); n != 1 {
		t.Errorf("%d heartbeats, want 1", n)
	}
}

func TestDatabaseDown(t *testing.T) {
	t.Parallel()
	database := testenv.StartMariaDB(t, testenv.Fast)
	h := openHarness(t, testnode.Embedded, func(p *plan) {
		p.cfg.Database.Driver, p.cfg.Database.DSN = store.MySQL, config.Secret(database.NewDatabase(t))
		p.cfg.API.AnswerTimeout = 500 * time.Millisecond
	})
	f := h.newFarmer(t, 1)
	c := f.takeOne(t, "seed")
	proof := f.prove(t, c, nil)

	database.Terminate(t)
	f.submit(t, c, proof).wantUnavailable(t)
	f.ask(t, "POST", f.at("answer"), proofs{[]proofOf{{c.FileHash, proof}}}).wantUnavailable(t)
	f.ask(t, "GET", f.at("challenge"), nil).wantUnavailable(t)
	f.ask(t, "GET", f.at("chunk"), nil).wantUnavailable(t)
	f.ask(t, "GET", api+"/new/"+address, nil).wantUnavailable(t)
	f.ask(t, "GET", api+"/status/list", nil).wantUnavailable(t)
	f.ask(t, "GET", api+"/status/list/by/size/1", nil).wantUnavailable(t)
	f.ask(t, "GET", api+"/status/show/"+f.token.Hash().FarmerID(), nil).wantUnavailable(t)
	must(t, h.Redis.Tokens().Forget(t.Context(), f.token.Hash()))
	h.Clock.Advance(10 * time.Second) // the replica's cached copy expires too
	f.ask(t, "GET", f.at("heartbeat"), nil).wantUnavailable(t)

	database.Start(t)
	waitFor(t, "a verdict", func() bool { return f.submit(t, c, proof).status == http.StatusOK })
	if n := f.heartbeats(t); n != 1 {
		t.Errorf("%d heartbeats, want 1", n)
	}
}

// A deadline that the node may still move must not keep the farmer from the rest of its
// contracts.
func TestListWithAContractThatIsUndecided(t *testing.T) {
	onEach(t, defaultPlan, func(t *testing.T, h *harness) {
		half := h.Clock.Now().Add(interval / 2)
		var known atomic.Pointer[time.Time]
		known.Store(&half)
		h.API.Known = func() time.Time { return *known.Load() }
		f := h.newFarmer(t, 1)
		late := f.takeOne(t, "late")
		h.Clock.Advance(interval / 2)
		live := f.takeOne(t, "live")
		h.Clock.Advance(interval/2 + time.Second)

		lists := func() map[string]contract {
			t.Helper()
			got := map[string]contract{}
			for method, body := range map[string]any{"GET": nil, "POST": map[string][]string{"hashes": {late.FileHash, live.FileHash}}} {
				list := decodeOK[struct{ Challenges []contract }](t, f.ask(t, method, f.at("challenge"), body)).Challenges
				if len(list) != 2 {
					t.Fatalf("%s returned %d contracts, want 2", method, len(list))
				}
				for _, c := range list {
					if before, both := got[c.FileHash]; both && !reflect.DeepEqual(before, c) {
						t.Errorf("GET and POST differ: %+v and %+v", before, c)
					}
					got[c.FileHash] = c
				}
			}
			if c := got[live.FileHash]; c.Due <= 0 || c.Error != "" {
				t.Errorf("the live contract: %+v", c)
			}
			return got
		}
		if c := lists()[late.FileHash]; c.Due != 0 || c.Answered || c.Error != "" || !bytes.Equal(c.Challenge, late.Challenge) {
			t.Errorf("the undecided contract: %+v, want its challenge %s with 0 seconds left", c, late.Challenge)
		}
		f.ask(t, "GET", f.at("challenge", late.FileHash), nil).wantUnavailable(t)

		now := h.Clock.Now()
		known.Store(&now)
		if c := lists()[late.FileHash]; c.Error != "contract expired" {
			t.Errorf("the decided contract: %+v", c)
		}
		f.ask(t, "GET", f.at("challenge", late.FileHash), nil).want(t, http.StatusBadRequest, "contract expired")
	})
}
