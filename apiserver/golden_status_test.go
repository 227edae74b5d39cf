package apiserver_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

// goldenStatus shows four farmers. The first farmer has proven its contracts, and the
// second farmer has not yet proven its contract. The contract of the third farmer has
// expired. The fourth farmer never had a contract.
func goldenStatus(t *testing.T, s *transcript) {
	s.comment("there is no farmer")
	s.get(t, s.replica, "/status/list")

	busy, slow, gone := s.newFarmer(t, 1), s.newFarmer(t, 2), s.newFarmer(t, 3)
	s.Clock.Advance(interval)
	s.stock(t, "gone", 300, heartbeat.EncodeOptions{Challenges: 2})
	gone.take(t, 300)
	s.Clock.Advance(2 * interval)
	first, second := busy.takeOne(t, "first"), busy.takeOne(t, "second")
	slow.takeOne(t, "slow")
	s.accept(t, busy, first)
	s.accept(t, busy, second)
	s.Clock.Advance(interval / 3)
	s.newFarmerAt(t, 4, "19qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3jV", &node.Location{
		Country: "Germany", State: "Land Berlin", City: "Berlin", Zip: "10115", Lat: 52.5, Lon: 13.4,
	})

	s.comment("all farmers, in every order")
	s.get(t, s.replica, "/status/list")
	for _, sort := range []string{"id", "address", "uptime", "heartbeats", "contracts", "size", "online", "score", "since", "seen", "place"} {
		s.list(t, "/by/"+sort)
		s.list(t, "/by/d/"+sort)
	}
	s.comment("pages")
	for _, rest := range []string{"/1", "/2/0", "/2/1", "/2/2", "/100", "/9223372036854775807", "/9223372036854775807/0", "/by/heartbeats/1/1", "/by/d/heartbeats/1/0"} {
		s.list(t, rest)
	}
	s.comment("the farmers that are online")
	for _, rest := range []string{"", "/1", "/1/1", "/by/size", "/by/d/size", "/by/id/1/1", "/by/d/id/1/0"} {
		s.list(t, "/online"+rest)
	}
	s.comment("invalid orders and pages")
	for _, rest := range []string{
		"/by/name", "/by/d/name", "/by/d", "/by", "/online/by", "/offline", "/0", "/-1", "/many", "/+1", "/1.5",
		"/10/-1", "/10/many", "/9223372036854775807/2", "/by/id/0", "/by/id/10/-1", "/online/by/d/id/10/x",
	} {
		s.get(t, s.replica, "/status/list"+rest)
	}

	s.comment("one farmer")
	for _, f := range []*farmer{busy, slow, gone} {
		s.get(t, s.replica, "/status/show/"+f.token.Hash().FarmerID())
		s.get(t, s.replica, "/status/show/"+f.token.Hash().FarmerID()+"/events")
	}
	s.get(t, s.replica, "/status/show/"+strings.ToUpper(busy.token.Hash().FarmerID()))
	s.comment("an unknown id; an invalid id")
	s.get(t, s.replica, "/status/show/"+strings.Repeat("0", 20))
	s.get(t, s.replica, "/status/show/id")
	s.goldenTotals(t)
	s.comment("all contracts have expired")
	s.Clock.Advance(10 * interval)
	s.get(t, s.replica, "/status/list/by/d/uptime")
	s.list(t, "/online")
}

// goldenTotals shows searches, the summary and the map.
func (s *transcript) goldenTotals(t *testing.T) {
	s.comment("search by the beginning of an id or by a part of an address")
	for _, rest := range []string{
		"?search=692865", "?search=8B1A", "/online/by/d/size?search=1Boat", "/2/1?search=Boat", "/1?search=%20vV%20", "?search=none", "?search=",
	} {
		s.list(t, rest)
	}
	s.comment("the farmers of a country; those whose country is unknown")
	for _, rest := range []string{"?country=Germany", "/online/1?country=Unknown", "?country=Unknown&search=Boat", "?country=Chile"} {
		s.list(t, rest)
	}
	s.comment("as CSV")
	for _, path := range []string{"/status/list?format=csv", "/status/list/online/by/d/size/1?format=csv", "/status/list/0?format=csv", "/status/list?format=xml", "/status/history?format=csv&step=day", "/status/history?format=xml"} {
		s.get(t, s.replica, path)
	}
	s.comment("the summary and the map of all farmers")
	summary := s.get(t, s.replica, "/status/summary")
	s.get(t, s.replica, "/status/map")
	s.comment("how surely a farmer that lost data is caught")
	s.get(t, s.replica, "/status/detection")
	s.comment("the heartbeat keys")
	s.get(t, s.replica, "/status/keys")
	s.comment("the faults of the node: none, then one that is open and one that is over")
	s.get(t, s.replica, "/status/faults")
	s.insertFaults(t)
	s.get(t, s.replica, "/status/faults")
	tag := summary.header.Get("ETag")
	if again := s.replica.ask(t, "GET", s.prefix+"/status/summary", nil, "If-None-Match", tag); again.status != http.StatusNotModified || again.body != "" {
		t.Errorf("the repeated request: %d %s", again.status, again.body)
	}
}

// insertFaults inserts a fault that is over and an open one. Report would use the clock of
// the database.
func (s *transcript) insertFaults(t *testing.T) {
	t.Helper()
	ago := func(d time.Duration) int64 { return s.Clock.Now().Add(-d).UnixMicro() }
	_, err := s.DB(t).Exec("INSERT INTO faults (start, ended, resume, cause, evidence, voided, applied) VALUES (?, ?, ?, 'down', 'no process could judge proofs', 3, 1), (?, 0, 0, 'down', 'no process could take proofs', 0, 0)",
		ago(time.Hour), ago(50*time.Minute), ago(49*time.Minute), ago(time.Minute))
	must(t, err)
}

// list requests a list of farmers, and writes only their ids to the golden file.
func (s *transcript) list(t *testing.T, rest string) {
	t.Helper()
	path, search, searched := strings.Cut(rest, "?")
	path += s.slash
	if searched {
		path += "?" + search
	}
	response := s.replica.ask(t, "GET", s.prefix+"/status/list"+path, nil)
	got := decodeOK[struct {
		Farmers []struct {
			ID string `json:"id"`
		}
	}](t, response)
	fmt.Fprintf(&s.text, "GET /status/list%s\n200 of %s:", rest, response.header.Get("X-Total-Count"))
	for _, f := range got.Farmers {
		fmt.Fprintf(&s.text, " %s", f.ID)
	}
	s.text.WriteString("\n\n")
}

// newFarmerAt creates a token, like newFarmer, but with this address and location.
func (s *transcript) newFarmerAt(t *testing.T, n byte, address string, place *node.Location) {
	t.Helper()
	must(t, s.Store.CreateToken(t.Context(), store.NewToken{
		Hash: node.Token{15: n}.Hash(), Address: address, IP: "192.0.2.2", Location: place, KeyID: s.Keys.Current().ID,
	}, store.TokenLimits{}, s.Clock.Now()))
}
