//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/driveshare/downstream-node/test/deployment"
)

// TestOutages checks that failures of the node that are longer than an interval cost no
// farmer a contract.
func TestOutages(t *testing.T) {
	t.Parallel()
	const interval = 20 * time.Second
	n := space(t)
	database := n.throughService(t)
	n.applySpec(t, strings.Replace(busyNode, "intervalSeconds: 10", fmt.Sprintf("intervalSeconds: %.0f", interval.Seconds()), 1)+"  workers: {replicas: 2}\n")
	n.awaitReady(t, 2*time.Minute)
	n.awaitSettled(t)
	farmers, _ := startFarmers(t, n.url(t), deployment.NewAddress(t), 5)
	awaitHeartbeats(t, farmers, 40)

	for _, outage := range []struct {
		what  string
		cause func()
	}{
		{"all pods of the API and the workers deleted", func() {
			must(t, "kubectl", "-n", n.namespace, "delete", "pod", "--all")
		}},
		{"planned maintenance without an API", func() {
			start := time.Now().Add(30*time.Second + interval).UTC().Truncate(time.Second)
			n.patch(t, fmt.Sprintf(`{"spec": {"maintenance": {"start": %q, "duration": "1m"}}}`, start.Format(time.RFC3339)))
			time.Sleep(time.Until(start.Add(time.Second)))
			n.patch(t, `{"spec": {"api": {"replicas": 0}}}`)
			time.Sleep(time.Minute)
			n.patch(t, `{"spec": {"api": {"replicas": 2}, "maintenance": null}}`)
			if planned := n.number(t, "SELECT COUNT(*) FROM faults WHERE declared = 1"); planned != 1 {
				t.Errorf("the node knows of %d maintenances", planned)
			}
		}},
		{"hibernation of 2 intervals", func() {
			n.hibernate(t)
			time.Sleep(2 * interval)
			n.wake(t)
		}},
		{"no MariaDB for 4 intervals", func() {
			database.remove(t)
			time.Sleep(4 * interval)
			database.restore(t)
		}},
	} {
		began := time.Now()
		outage.cause()
		n.awaitSettled(t)
		took := time.Since(began)
		held := n.number(t, "SELECT COUNT(*) FROM contracts")
		awaitHeartbeats(t, farmers, 2*held)
		s := farmers.Snapshot()
		faults := n.number(t, "SELECT COUNT(*) FROM faults WHERE ended > 0")
		void, expired := n.number(t, "SELECT COALESCE(SUM(voided), 0) FROM faults"), n.number(t, "SELECT COALESCE(SUM(expired), 0) FROM tokens")
		t.Logf("%s: %.0f s, contracts %d, lost %d, void %d, expired %d, proofs refused %d, faults %d",
			outage.what, took.Seconds(), held, s.Dropped, void, expired, s.Rejected, faults)
		if s.Dropped+s.Rejected+void+expired > 0 {
			t.Errorf("%s cost the farmers contracts", outage.what)
		}
	}
	if faults := n.number(t, "SELECT COUNT(*) FROM faults WHERE ended > 0"); faults == 0 {
		t.Error("the node has recorded no fault")
	}
}

// databaseService is a Service through which a node reaches its database. Without its
// endpoint, connections are refused.
type databaseService struct {
	n        *node
	endpoint string // manifest
}

// throughService puts a Service between a node and its database.
func (n *node) throughService(t *testing.T) *databaseService {
	t.Helper()
	dsn, err := mysql.ParseDSN(mysqlDSN)
	if err != nil {
		t.Fatal(err)
	}
	host, port, ok := strings.Cut(dsn.Addr, ":")
	if !ok {
		t.Fatalf("the DSN's address %s has no port", dsn.Addr)
	}
	if err := n.records.QueryRow("SELECT DATABASE()").Scan(&dsn.DBName); err != nil {
		t.Fatal(err)
	}
	n.records.SetMaxOpenConns(1) // remove ends all other connections
	d := &databaseService{n: n, endpoint: fmt.Sprintf(`
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: database, labels: {kubernetes.io/service-name: database}}
addressType: IPv4
ports: [{port: %s}]
endpoints: [{addresses: [%s]}]
`, port, host)}
	n.apply(t, fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: database}\nspec: {ports: [{port: %s}]}\n", port))
	d.restore(t)
	dsn.Addr = "database:" + port
	must(t, "kubectl", "-n", n.namespace, "patch", "secret", "downstream-backends", "-p", fmt.Sprintf(`{"stringData": {"dsn": %q}}`, dsn.FormatDSN()))
	return d
}

// remove makes the database unreachable. It also ends the node's connections.
func (d *databaseService) remove(t *testing.T) {
	t.Helper()
	must(t, "kubectl", "-n", d.n.namespace, "delete", "endpointslice", "database")
	eventually(t, time.Minute, func() error {
		open := d.n.number(t, "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()")
		if open == 0 {
			return nil
		}
		id := d.n.number(t, "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID() LIMIT 1")
		_, _ = d.n.records.Exec(fmt.Sprint("KILL ", id)) // the connection may have ended
		return fmt.Errorf("the node has %d connections to the database", open)
	})
}

func (d *databaseService) restore(t *testing.T) {
	t.Helper()
	d.n.apply(t, d.endpoint)
}
