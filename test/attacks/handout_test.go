//go:build attacks

package attacks

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/test/deployment"
)

const (
	// inventory is the number of chunks that wait before an attack on them. The
	// node's share of the inventory for one farmer is then more than its limit for
	// contracts without a proof.
	inventory = 300
	// perToken is the default of contracts.unprovenPerToken.
	perToken = 20
	// everything is the largest size that a farmer can ask for.
	everything = "9223372036854775807"
	// mostGrowth limits what these attacks may cost in memory.
	mostGrowth = 64 << 20
)

// take sends one bare request for contracts. If hangUp is true, the attacker closes
// the connection when the response begins.
func (a *attacker) take(token, size string, hangUp bool) {
	a.t.Helper()
	resp, err := a.http.Get(a.base + "/chunk/" + token + "/" + size)
	testenv.Must(a.t, err)
	defer resp.Body.Close()
	if hangUp {
		var one [1]byte
		_, _ = resp.Body.Read(one[:])
		return
	}
	var list struct{ Chunks []json.RawMessage }
	_ = json.NewDecoder(resp.Body).Decode(&list)
}

// takeAll takes as much as it can with these tokens.
func (a *attacker) takeAll(tokens []string) {
	a.t.Helper()
	for i := range 40 {
		for _, token := range tokens {
			a.take(token, everything, i%2 == 1)
		}
	}
}

// held returns how many contracts the node has recorded for the tokens.
func (a *attacker) held(tokens []string) (n int64) {
	a.t.Helper()
	for _, token := range tokens {
		resp, err := a.http.Get(a.base + "/status/show/" + farmer.FarmerID(token))
		testenv.Must(a.t, err)
		var status farmer.FarmerStatus
		testenv.Must(a.t, json.NewDecoder(resp.Body).Decode(&status))
		resp.Body.Close()
		n += status.Contracts
	}
	return n
}

// newcomers lets a number of honest farmers, each from its own IP address, ask for
// contracts for the first time. It returns how many got none.
func (s *scene) newcomers(t *testing.T, number int) (empty int) {
	t.Helper()
	for i := range number {
		transport := honestTransport(honestFarmers + i)
		client, err := farmer.NewClient(s.URL, farmer.ClientConfig{HTTP: &http.Client{Transport: counted{transport, &s.failed}}})
		testenv.Must(t, err)
		told, err := client.NewToken(t.Context(), deployment.NewAddress(t), nil)
		testenv.Must(t, err)
		got := 0
		for _, err := range client.Chunks(t.Context(), told.Token, 2*chunkSize) {
			testenv.Must(t, err)
			got++
		}
		if got == 0 {
			empty++
		}
		client.Close()
	}
	return empty
}

// Attackers without proofs take as many contracts as they can, and hang up. The
// inventory must still serve newcomers.
func TestInventory(t *testing.T) {
	for name, c := range map[string]struct {
		ips, addresses int // each combination has one token
		most           int64
	}{
		"one token":        {1, 1, perToken},
		"one SJCX address": {20, 1, node.UnprovenFactor * perToken},
		"one IP address":   {1, 5, node.UnprovenFactor * perToken},
	} {
		t.Run(name, func(t *testing.T) {
			s := begin(t, deployment.Settings{"contracts.interval": "20s"}, inventory)
			addresses := make([]string, c.addresses)
			for i := range addresses {
				addresses[i] = deployment.NewAddress(t)
			}
			var attackers []*attacker
			tokens := make([][]string, c.ips)
			for i := range c.ips {
				a := s.attacker(t, 1+i)
				for _, address := range addresses {
					tokens[i] = append(tokens[i], a.token(address))
				}
				attackers = append(attackers, a)
			}
			s.during(t, "inventory, "+name, mostGrowth, func() {
				for i, a := range attackers {
					a.takeAll(tokens[i])
				}
				const asks = 24
				if empty := s.newcomers(t, asks); empty > 0 {
					t.Errorf("%d of %d newcomers got no contract", empty, asks)
				}
			})
			var held int64
			for i, a := range attackers {
				held += a.held(tokens[i])
			}
			if held == 0 || held > c.most {
				t.Errorf("the attacker holds %d contracts, want 1 to %d", held, c.most)
			}
		})
	}
}

// Requests for more than an int64 can add must not pass the limit of an address.
func TestOverflow(t *testing.T) {
	const most = 8 // chunks for each SJCX address
	s := begin(t, deployment.Settings{
		"contracts.bytesPerAddress":       fmt.Sprint(most * chunkSize),
		"contracts.unprovenPerToken":      "0",
		"contracts.unprovenBytesPerToken": "0",
		"contracts.inventoryShare":        "0",
		"contracts.interval":              "20s",
	}, inventory)
	a := s.attacker(t, 1)
	token := a.token(deployment.NewAddress(t))
	s.during(t, "overflow", mostGrowth, func() {
		for _, size := range []string{"1", "1023", "1024", "9223372036854774784", "9223372036854775806", everything, "9223372036854775808", "99999999999999999999"} {
			for range 10 {
				a.take(token, size, false)
			}
		}
		for _, path := range []string{everything, everything + "/" + everything, "2/" + everything, everything + "/1", "by/d/size/3/4611686018427387904"} {
			resp, err := a.http.Get(a.base + "/status/list/" + path)
			testenv.Must(t, err)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("status/list/%s: %s", path, resp.Status)
			}
		}
	})
	if held := a.held([]string{token}); held == 0 || held > most {
		t.Errorf("the attacker holds %d contracts, want 1 to %d", held, most)
	}
}
