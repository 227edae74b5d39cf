//go:build e2e

package e2e

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/test/deployment"
)

// busyNode is the spec of a node whose farmers store few bytes and send many
// proofs. The interval is long enough that a machine that stalls for some seconds costs no
// contract.
const busyNode = `
  imagePullPolicy: IfNotPresent
  access: {signatures: false}
  contracts: {intervalSeconds: 10, tokensPerIP: 1000, contractsPerRequest: 100, unprovenPerToken: 0, unprovenBytesPerToken: '0', inventoryShare: '0'}
  inventory: {minChunkSize: 1Ki, maxChunkSize: 4Ki, totalSize: 4Mi}
`

// TestMinimal checks that the sample is a complete node, and that the records
// contain what the node confirmed to farmers.
func TestMinimal(t *testing.T) {
	n := space(t)
	sample, err := os.ReadFile("../../config/samples/minimal.yaml")
	if err != nil {
		t.Fatal(err)
	}
	n.apply(t, string(sample))
	took := n.awaitReady(t, time.Minute)
	t.Logf("the minimal sample was ready after %.1f s", took.Seconds())

	// The sample requires signatures, but these farmers have no signatures.
	n.applySpec(t, busyNode)
	n.awaitSettled(t)
	farmers, stop := startFarmers(t, n.url(t), deployment.NewAddress(t), 3)
	awaitHeartbeats(t, farmers, 9) // most chunks of the sample are too large for these farmers
	stop()
	told := farmers.Snapshot()
	recorded := n.number(t, "SELECT SUM(heartbeats) FROM tokens")
	t.Logf("the node confirmed %d heartbeats through the Service, MySQL holds %d", told.Heartbeats, recorded)
	// A recorded proof counts even if the farmer was stopped before it received the
	// response.
	if recorded < told.Heartbeats || told.Rejected > 0 {
		t.Errorf("confirmed %+v, recorded %d", told, recorded)
	}
}

// TestWhitelist checks that the farmers of an SJCX address are removed if this SJCX
// address is removed from the list, and that the other farmers see no error.
func TestWhitelist(t *testing.T) {
	t.Parallel()
	n := space(t)
	stays, goes := deployment.NewAddress(t), deployment.NewAddress(t)
	list := func(addresses ...string) string {
		text := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: whitelist}\ndata:\n  whitelist.csv: |\n    address,crowdsale_balance\n"
		for _, address := range addresses {
			text += "    " + address + ",20000\n"
		}
		return text
	}
	n.apply(t, list(stays, goes))
	n.applySpec(t, busyNode+"  whitelist: {configMapRef: {name: whitelist}}\n")
	n.awaitReady(t, 2*time.Minute)
	n.awaitSettled(t)

	honest, _ := startFarmers(t, n.url(t), stays, 1)
	awaitHeartbeats(t, honest, 3)
	client, err := farmer.NewClient(n.url(t), farmer.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	told := join(t, client, goes)
	if _, err := client.NewToken(t.Context(), deployment.NewAddress(t), nil); err == nil {
		t.Error("an address that is not on the list got a token")
	}

	n.apply(t, list(stays))
	took := eventually(t, 2*time.Minute, func() error {
		if _, err := client.Heartbeat(t.Context(), told.Token); err == nil {
			return errors.New("the token is still good")
		}
		return nil
	})
	t.Logf("the farmer was deleted %.1f s after the edit", took.Seconds())
	if left := n.number(t, "SELECT COUNT(*) FROM tokens"); left != 1 {
		t.Errorf("%d tokens are left", left)
	}
	awaitHeartbeats(t, honest, 3)
	if s := honest.Snapshot(); s.Rejected > 0 {
		t.Errorf("the other farmer: %+v", s)
	}
}
