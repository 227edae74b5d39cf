//go:build e2e

package e2e

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/farmer"
)

// lively is a node whose farmers have much to do and little to store.
const lively = `
  imagePullPolicy: IfNotPresent
  access: {signatures: false}
  contracts: {intervalSeconds: 4, tokensPerIP: 1000, contractsPerRequest: 100}
  inventory: {minChunkSize: 1Ki, maxChunkSize: 4Ki, totalSize: 4Mi}
`

// TestMinimal holds that the sample is enough, and that what farmers are told
// is what the records hold.
func TestMinimal(t *testing.T) {
	n := space(t)
	sample, err := os.ReadFile("../../config/samples/minimal.yaml")
	if err != nil {
		t.Fatal(err)
	}
	n.apply(t, string(sample))
	took := n.awaitReady(t, time.Minute)
	t.Logf("the minimal sample was ready after %.1f s", took.Seconds())

	// The sample asks for signatures, which a crew of strangers has not.
	n.applySpec(t, lively)
	n.awaitSettled(t)
	crew, stop := startCrew(t, n.url(t), newAddress(t), 3)
	awaitHeartbeats(t, crew, 50)
	stop()
	told := crew.Snapshot()
	recorded := n.number(t, "SELECT SUM(heartbeats) FROM tokens")
	t.Logf("farmers were told of %d heartbeats through the Service, MySQL holds %d", told.Heartbeats, recorded)
	// An answer whose report was cut off by the stop counts all the same.
	if recorded < told.Heartbeats || told.Rejected > 0 {
		t.Errorf("told %+v, recorded %d", told, recorded)
	}
}

// TestWhitelist holds that an address that leaves the list loses its farmers,
// and that the others do not notice.
func TestWhitelist(t *testing.T) {
	n := space(t)
	stays, goes := newAddress(t), newAddress(t)
	list := func(addresses ...string) string {
		text := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: whitelist}\ndata:\n  whitelist.csv: |\n    address,crowdsale_balance\n"
		for _, address := range addresses {
			text += "    " + address + ",20000\n"
		}
		return text
	}
	n.apply(t, list(stays, goes))
	n.applySpec(t, lively+"  whitelist: {configMapRef: {name: whitelist}}\n")
	n.awaitReady(t, 2*time.Minute)
	n.awaitSettled(t)

	honest, _ := startCrew(t, n.url(t), stays, 1)
	awaitHeartbeats(t, honest, 3)
	client, err := farmer.NewClient(n.url(t), farmer.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	told := join(t, client, goes)
	if _, err := client.NewToken(t.Context(), newAddress(t), nil); err == nil {
		t.Error("an address that is not on the list got a token")
	}

	n.apply(t, list(stays))
	took := eventually(t, 2*time.Minute, func() error {
		if _, err := client.Heartbeat(t.Context(), told.Token); err == nil {
			return errors.New("the token is still good")
		}
		return nil
	})
	t.Logf("the farmer was gone %.1f s after the edit", took.Seconds())
	if left := n.number(t, "SELECT COUNT(*) FROM tokens"); left != 1 {
		t.Errorf("%d tokens are left", left)
	}
	awaitHeartbeats(t, honest, 3)
	if s := honest.Snapshot(); s.Rejected > 0 {
		t.Errorf("the other farmer: %+v", s)
	}
}
