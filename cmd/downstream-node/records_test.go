package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/program"
)

// commandDir is a directory with the files that commands need: a configuration, a database
// and a heartbeat key.
type commandDir struct {
	t      *testing.T
	config string
	dir    string
}

func newCommandDir(t *testing.T) commandDir {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(dir, "heartbeat.json")
	if _, err := keyring.LoadOrCreate(key, heartbeat.Merkle, 0.01); err != nil {
		t.Fatal(err)
	}
	o := commandDir{t: t, dir: dir, config: filepath.Join(dir, "node.yaml")}
	o.write("node.yaml", "database: {path: "+filepath.Join(dir, "node.db")+"}\nheartbeat: {keyFiles: ["+key+"]}\n")
	return o
}

func (o commandDir) write(name, content string) string {
	o.t.Helper()
	path := filepath.Join(o.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		o.t.Fatal(err)
	}
	return path
}

// run runs a command, and returns its exit status and its output.
func (o commandDir) run(args ...string) (status int, printed string) {
	o.t.Helper()
	var out, errs bytes.Buffer
	root := newRootCommand()
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetIn(io.NopCloser(strings.NewReader("")))
	root.SetArgs(append(args, "--config", o.config))
	status = program.ExitStatus(root, root.ExecuteContext(context.WithoutCancel(o.t.Context())), &errs)
	return status, out.String() + errs.String()
}

func TestCommandsOnTheRecords(t *testing.T) {
	t.Parallel()
	o := newCommandDir(t)
	const (
		first  = "19qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3jV"
		second = "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"
	)
	list := o.write("whitelist.csv", "address,crowdsale_balance\n"+first+",20000\n"+second+",1\n")
	empty := o.write("empty.csv", "address,crowdsale_balance\n"+first+",9999\n")
	broken := o.write("broken.csv", "address,crowdsale_balance\n"+first+",20000\nnobody,20000\n")

	steps := []struct {
		args   string
		status int
		prints string
	}{
		{"chunks list", 1, "run `downstream-node db migrate`"},
		// An error in an argument is reported before a database error.
		{"whitelist load " + broken, 1, broken + `: whitelist: line 3: "nobody": `},
		{"whitelist load nowhere.csv", 1, "nowhere.csv is neither a file nor a valid address"},
		{"whitelist load " + o.dir, 1, o.dir + " is not a file"},
		{"whitelist load " + list, 1, "run `downstream-node db migrate`"},
		{"tokens delete 0123", 1, "neither a token"},
		{"db migrate", 0, "the tables are at version"},
		{"db migrate", 0, "the tables are at version"},
		{"chunks generate 1KiB 3", 0, ""},
		{"chunks list", 0, "1.0 KiB"},
		{"chunks generate 0", 1, "must be a size from 1 byte"},
		{"chunks generate 1KiB none", 1, "COUNT \"none\": must be a whole number"},
		{"chunks maintain 1KiB 4KiB 32KiB 2", 0, ""},
		{"chunks maintain 1KiB 4KiB 32KiB 1", 1, "base 1: must be at least 2"},
		{"chunks list", 0, "4.0 KiB"},
		{"chunks clear", 0, "removed"},
		{"chunks clear", 0, "removed 0 chunks"},
		{"whitelist load " + list, 0, "1 addresses added, 0 kept, 0 removed"},
		{"whitelist load " + broken, 1, "line 3"},
		{"whitelist load " + empty, 1, "no address has a balance of at least 10000"},
		{"whitelist load " + list, 0, "0 addresses added, 1 kept, 0 removed"},
		{"whitelist load " + second, 0, "the whitelist has " + second},
		{"whitelist load nowhere.csv", 1, "nowhere.csv is neither a file nor a valid address"},
		{"tokens delete 0123", 1, "neither a token (32 hex digits) nor a farmer id (20 hex digits)"},
		{"tokens delete 00112233445566778899", 1, "not found"},
		{"db clean", 0, "0 contracts expired"},
		{"queue dead list", 1, "the configuration names no Redis"},
		{"queue dead retry", 1, "or use --all"},
		{"queue dead drop 1-1 --all", 1, "or use --all"},
		{"config", 0, "keyFiles:"},
		{"version", 0, "downstream-node"},
		{"api", 1, "use `downstream-node standalone`"},
		{"worker", 1, "use `downstream-node standalone`"},
		{"standalone --demo -1", 1, "must not be negative"},
		{"db migrate --down-to 0", 1, "--lose-data"},
		{"db migrate --down-to 0 --lose-data", 0, "the tables are at version 0"},
		{"db foo", 1, `unknown command "foo"`},
		{"chunks", 0, "Available Commands"},
		{"nothing", 1, "unknown command"},
	}
	for _, step := range steps {
		status, printed := o.run(strings.Fields(step.args)...)
		if status != step.status || !strings.Contains(printed, step.prints) {
			t.Errorf("%s: status %d, want %d; printed %q, want %q in it", step.args, status, step.status, printed, step.prints)
		}
	}
}

// TestMigrateChecksTheKey checks that migrate fails if the database belongs to another
// key.
func TestMigrateChecksTheKey(t *testing.T) {
	t.Parallel()
	o := newCommandDir(t)
	if status, printed := o.run("db", "migrate"); status != 0 {
		t.Fatal(printed)
	}
	key := filepath.Join(o.dir, "heartbeat.json")
	right, err := keyring.Load([]string{key})
	if err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(o.dir, "backup.json")
	if err := os.Rename(key, backup); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.LoadOrCreate(key, heartbeat.Merkle, 0.01); err != nil {
		t.Fatal(err)
	}
	says := "heartbeat key missing: Merkle " + schemes.Fingerprint(right[0])
	if status, printed := o.run("db", "migrate"); status != 3 || !strings.Contains(printed, says) {
		t.Errorf("with another key: exit %d, want 3 and %q:\n%s", status, says, printed)
	}
	if err := os.Rename(backup, key); err != nil {
		t.Fatal(err)
	}
	if status, printed := o.run("db", "migrate"); status != 0 {
		t.Errorf("with the right key again: exit %d\n%s", status, printed)
	}
}
