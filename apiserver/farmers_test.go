package apiserver_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

// A replica caches a token's record for 5 seconds. While a deleted token is still in
// the cache, the store must refuse its requests.
func TestDeletedToken(t *testing.T) {
	t.Parallel()
	h := openHarness(t, testnode.Embedded, defaultPlan)
	f := h.newFarmer(t, 1)
	f.ask(t, "GET", f.at("heartbeat"), nil).want(t, http.StatusOK, "Merkle")
	must(t, h.Store.DeleteToken(t.Context(), f.token.Hash().FarmerID(), h.Clock.Now()))
	must(t, h.Redis.Tokens().Forget(t.Context(), f.token.Hash()))
	f.ask(t, "GET", f.at("chunk"), nil).want(t, http.StatusBadRequest, "token not found")
	h.Clock.Advance(5 * time.Second)
	f.ask(t, "GET", f.at("heartbeat"), nil).want(t, http.StatusNotFound, "Nonexistent token")
}
