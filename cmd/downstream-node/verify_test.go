package main

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glebarez/sqlite"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/testenv"
)

// execute runs a statement on the records, without checking foreign keys.
func (o commandDir) execute(statement string) {
	o.t.Helper()
	db, err := sql.Open(sqlite.DriverName, filepath.Join(o.dir, "node.db"))
	testenv.Must(o.t, err)
	defer db.Close()
	_, err = db.Exec(statement)
	testenv.Must(o.t, err)
}

// TestVerify checks that `db verify` accepts a database that fits, and that it names each
// thing that does not fit and what to do.
func TestVerify(t *testing.T) {
	t.Parallel()
	o := newCommandDir(t)
	step := func(wantStatus int, prints ...string) {
		t.Helper()
		status, printed := o.run("db", "verify")
		for _, want := range prints {
			if !strings.Contains(printed, want) {
				t.Errorf("printed %q, want %q in it", printed, want)
			}
		}
		if status != wantStatus {
			t.Errorf("status %d, want %d; printed %q", status, wantStatus, printed)
		}
	}
	step(1, "there is no database "+filepath.Join(o.dir, "node.db"))
	o.write("node.db", "")
	step(1, "the database has no tables: restore the backup into it")
	for _, args := range []string{"db migrate", "chunks generate 1KiB 3"} {
		if status, printed := o.run(strings.Fields(args)...); status != 0 {
			t.Fatal(printed)
		}
	}
	o.handOut("19qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3jV", 3)
	key := filepath.Join(o.dir, "heartbeat.json")
	step(0, "Merkle, active, needed by 3 contracts: "+key, "contracts", "3 live", "never", "this node fit together")

	base, err := os.ReadFile(o.config)
	testenv.Must(t, err)
	other := filepath.Join(o.dir, "other.json")
	_, err = keyring.LoadOrCreate(other, heartbeat.Merkle, 0.01)
	testenv.Must(t, err)
	o.write("node.yaml", strings.Replace(string(base), key, other, 1))
	step(1, "no key file has the Merkle key ", ", needed by 3 contracts: restore the file with this fingerprint", "unknown to the database: "+other)
	o.write("node.yaml", strings.Replace(string(base), key, other+", "+key, 1))
	step(0, "unknown to the database: "+other) // a rotation that was made after the backup
	o.write("node.yaml", string(base))

	o.execute("UPDATE tokens SET contracts = 7")
	step(1, "the counts of 1 token differ from their contracts", "run `downstream-node db restored`")
	if status, printed := o.run("db", "restored"); status != 0 {
		t.Fatal(printed)
	}
	step(0)

	o.write("node.yaml", string(base)+"node: {name: farm.node, uid: uid-1}\n")
	if status, printed := o.run("db", "migrate"); status != 0 {
		t.Fatal(printed)
	}
	step(0, "owner", "farm.node (uid-1)")
	o.write("node.yaml", string(base))
	step(1, "the database belongs to the DownstreamNode farm.node (uid-1), but this node is downstream (node.name)")
	o.execute("DELETE FROM settings WHERE name = 'owner'")

	o.execute("UPDATE contracts SET key_id = 99 WHERE id = (SELECT MIN(id) FROM contracts)")
	step(1, "the keys of 1 contract are not in the database")

	o.execute("INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)")
	step(1, "the tables are at version 999, newer than this program needs")
	if status, printed := o.run("db", "migrate"); status != 1 || !strings.Contains(printed, "newer than this program needs") {
		t.Errorf("migrate accepts newer tables: status %d, printed %q", status, printed)
	}
	o.execute("DELETE FROM goose_db_version WHERE version_id > 13")
	step(1, "the tables are at version 13, older than this program needs: run `downstream-node db migrate`")
}
