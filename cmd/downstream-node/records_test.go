package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/program"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/internal/testenv"
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

// run runs a command with the configuration, and returns its exit status and its output.
func (o commandDir) run(args ...string) (status int, printed string) {
	o.t.Helper()
	return o.runBare(append(args, "--config", o.config)...)
}

// runBare is run without the configuration.
func (o commandDir) runBare(args ...string) (status int, printed string) {
	o.t.Helper()
	var out, errs bytes.Buffer
	root := newRootCommand()
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetIn(io.NopCloser(strings.NewReader("")))
	root.SetArgs(args)
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
		{"chunks list", 1, "there is no database " + filepath.Join(o.dir, "node.db") + " (database.path): run the command in the directory"},
		{"chunks generate 1KiB", 1, "there is no database"},
		// An error in an argument is reported before a database error.
		{"whitelist load " + broken, 1, broken + `: whitelist: line 3: "nobody": `},
		{"whitelist load nowhere.csv", 1, "nowhere.csv is neither a file nor a valid address"},
		{"whitelist load " + o.dir, 1, o.dir + " is not a file"},
		{"whitelist load " + list, 1, "there is no database"},
		{"tokens delete 0123", 1, "neither a token"},
		{"db migrate", 0, "the tables are at version"},
		{"db migrate", 0, "the tables are at version"},
		{"chunks generate 1KiB 3", 0, "made 3 chunks of 1.0 KiB with the key "},
		{"chunks generate 1KiB", 0, "made 1 chunk of 1.0 KiB with the key "},
		{"chunks list", 0, "1.0 KiB"},
		{"chunks generate 0", 1, "must be a size from 1 byte"},
		{"chunks generate 1KiB none", 1, "COUNT \"none\": must be a whole number"},
		{"maintenance add --in 1h", 1, "--for must be more than 0s"},
		{"maintenance add --in 1h --for 2h --reason disks", 0, "maintenance 1 from "},
		{"maintenance add --in 2h --for 2h", 1, "another maintenance is planned for this time; `maintenance list` shows it"},
		{"maintenance add --for 1m", 0, "warning: --in is less than one interval (5m0s)"},
		{"maintenance list", 0, "disks"},
		{"maintenance cancel x", 1, `"x" is not an id`},
		{"maintenance declare --start 2999-01-01T00:00:00Z --for 2h --reason moving", 0, "from 2999-01-01T00:00:00Z to 2999-01-01T02:00:00Z"},
		{"maintenance list", 0, "moving"},
		{"maintenance declare --start tomorrow --for 2h", 1, `--start is "tomorrow"; write a time like`},
		{"maintenance declare --start 2999-01-01T00:00:00Z", 1, "--for must be more than 0s"},
		{"maintenance declare --start 2001-01-01T00:00:00Z --for 2h", 0, "the maintenance is over"},
		{"maintenance declare --start now --for 2s --reason hibernation", 0, "maintenance 4 from 2"},
		{"maintenance list", 0, "hibernation"},
		{"maintenance declare --none", 0, "no maintenance is declared"},
		{"maintenance cancel 1", 0, ""},
		{"maintenance cancel 1", 1, "no maintenance 1; `maintenance list` prints the ids"},
		{"chunks maintain 1KiB 4KiB 32KiB 2", 0, "made 8 chunks, 24 KiB"},
		{"chunks maintain 1KiB 4KiB 32KiB 1", 1, "base 1: must be at least 2"},
		{"chunks list", 0, "4.0 KiB"},
		{"chunks clear", 1, " must be encoded again, and there is no terminal to ask at: repeat the command with --yes"},
		{"chunks clear --yes", 0, "removed "},
		{"chunks clear", 0, "removed 0 chunks"},
		{"whitelist load --dry-run " + list, 0, "would be: 1 address added, 0 kept, 0 removed"},
		{"whitelist list", 0, "NEW TOKENS"},
		{"whitelist load " + list, 0, "1 address added, 0 kept, 0 removed"},
		{"whitelist load " + list, 0, list + " line 3: the balance 1 of " + second + " is below 10000"},
		{"whitelist load " + broken, 1, "line 3"},
		{"whitelist load " + empty, 1, "no address has a balance of at least 10000"},
		{"whitelist load " + list, 0, "0 addresses added, 1 kept, 0 removed"},
		{"whitelist load --dry-run " + second, 0, "the whitelist would have " + second},
		{"whitelist load " + second, 0, "the whitelist has " + second},
		{"whitelist list", 0, second + "  0        yes         0       0"},
		{"whitelist load " + list, 0, "0 addresses added, 1 kept, 0 removed with 0 tokens and 0 contracts; 1 keep what they have"},
		{"whitelist list", 0, second + "  1        no          0       0"},
		{"whitelist remove " + second, 0, "removed " + second + " with 0 tokens and 0 contracts"},
		{"whitelist remove " + second, 1, second + " is not on the whitelist"},
		{"whitelist load nowhere.csv", 1, "nowhere.csv is neither a file nor a valid address"},
		{"tokens delete 0123", 1, "neither a token (32 hex digits) nor a farmer id (20 hex digits)"},
		{"tokens delete 00112233445566778899", 1, "not found"},
		{"farmers suspend 0123 --reason x", 1, `"0123" is not a farmer id`},
		{"farmers suspend 00112233445566778899", 1, "--reason is empty"},
		{"farmers suspend 00112233445566778899 --reason x", 1, "there is no farmer 00112233445566778899"},
		{"farmers lift 00112233445566778899", 1, "there is no farmer"},
		{"files list", 0, "HASH  SIZE  PROVED"},
		{"files list --limit 0", 1, "--limit must be at least 1"},
		{"files show 0123", 1, `"0123" is not a file hash of 64 hex digits`},
		{"files show " + strings.Repeat("0", 64), 1, "there is no file 0000"},
		{"db clean", 0, "0 contracts expired; deleted 0 contracts, 0 tags, 0 files, 0 unused tokens"},
		{"audit", 0, "removed " + second + " with 0 tokens and 0 contracts"},
		{"audit", 0, "announced maintenance 1 from "},
		{"audit", 0, "cancelled maintenance 1"},
		{"tokens list", 0, "ID  ADDRESS"},
		{"farmers list", 0, "ID  ADDRESS"},
		{"farmers list --sort colour", 1, `--sort "colour": choose one of id, address`},
		{"farmers show 0123", 1, `"0123" is not a farmer id; ` + "`farmers list`"},
		{"farmers show 00112233445566778899", 1, "there is no farmer 00112233445566778899"},
		{"queue dead list", 1, "the configuration names no Redis"},
		{"queue dead show", 1, "wrong number of arguments"},
		{"queue dead retry", 1, "or use --all"},
		{"queue dead drop 1-1 --all", 1, "or use --all"},
		{"config", 0, "keyFiles:"},
		{"api", 1, "use `downstream-node standalone`"},
		{"worker", 1, "use `downstream-node standalone`"},
		{"standalone --demo -1", 1, "must not be negative"},
		{"db migrate --down-to 0", 1, "--lose-data"},
		{"db migrate --down-to 0 --lose-data", 0, "the tables are at version 0"},
		{"db foo", 1, `unknown command "foo"`},
		{"chunks", 2, "Available Commands"},
		{"queue dead", 2, "Available Commands"},
		{"queue dead lst", 1, `unknown command "lst" for "downstream-node queue dead"`},
		{"audit --limit 0", 1, "--limit must be at least 1"},
		{"nothing", 1, "unknown command"},
	}
	for _, step := range steps {
		status, printed := o.run(strings.Fields(step.args)...)
		if status != step.status || !strings.Contains(printed, step.prints) {
			t.Errorf("%s: status %d, want %d; printed %q, want %q in it", step.args, status, step.status, printed, step.prints)
		}
	}
}

// TestWhitelistLosesNoContractUnasked checks that load and remove delete contracts
// only with --yes if there is no terminal.
func TestWhitelistLosesNoContractUnasked(t *testing.T) {
	t.Parallel()
	o := newCommandDir(t)
	const (
		stays  = "19qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3jV"
		leaves = "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"
	)
	both := o.write("both.csv", "address,crowdsale_balance\n"+stays+",20000\n"+leaves+",20000\n")
	one := o.write("one.csv", "address,crowdsale_balance\n"+stays+",20000\n")
	step := func(args string, wantStatus int, want string) {
		t.Helper()
		if status, printed := o.run(strings.Fields(args)...); status != wantStatus || !strings.Contains(printed, want) {
			t.Errorf("%s: status %d, want %d; printed %q, want %q in it", args, status, wantStatus, printed, want)
		}
	}
	step("db migrate", 0, "")
	step("chunks generate 1KiB 3", 0, "")
	step("whitelist load "+both, 0, "2 addresses added")
	o.handOut(leaves, 2)
	o.handOut(stays, 1)

	const refused = "1 address loses 1 token and 2 contracts for good, and there is no terminal to ask at: repeat the command with --yes"
	step("whitelist load "+one, 1, refused)
	step("whitelist remove "+leaves, 1, refused)
	step("whitelist load --dry-run "+one, 0, "would be: 0 addresses added, 1 kept, 1 removed with 1 token and 2 contracts")
	step("whitelist list", 0, leaves+"  20000    yes         1       2")
	step("whitelist load --yes "+one, 0, "0 addresses added, 1 kept, 1 removed with 1 token and 2 contracts")
	step("whitelist remove --yes "+stays, 0, "removed "+stays+" with 1 token and 1 contract")
}

// TestFarmersAreListed checks the lists of farmers and tokens, and what show prints.
func TestFarmersAreListed(t *testing.T) {
	t.Parallel()
	o := newCommandDir(t)
	const first, second = "19qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3jV", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"
	run := func(args string) (lines []string) {
		t.Helper()
		status, printed := o.run(strings.Fields(args)...)
		if status != 0 {
			t.Fatalf("%s: status %d; printed %q", args, status, printed)
		}
		return strings.Split(strings.TrimSpace(printed), "\n")
	}
	run("db migrate")
	run("chunks generate 1KiB 3")
	o.handOut(first, 2)
	o.handOut(second, 1)
	for args, want := range map[string][]string{
		"tokens list":                              {first, second},
		"farmers list --sort contracts":            {second, first},
		"farmers list --sort address --descending": {second, first},
		"farmers list --online --limit 1":          {"1"},
		"farmers list --search " + second:          {second},
	} {
		lines := run(args)
		if len(lines) != 1+len(want) {
			t.Errorf("%s: %q, want %d farmers", args, lines, len(want))
			continue
		}
		for i, address := range want {
			if !strings.Contains(lines[i+1], address) {
				t.Errorf("%s: line %d is %q, want %s", args, i+1, lines[i+1], address)
			}
		}
	}
	if line := run("tokens list")[1]; !strings.Contains(line, "192.0.2.1") || !strings.HasSuffix(line, "never           2") {
		t.Errorf("the first token is %q", line)
	}
	id := strings.Fields(run("farmers list --search " + first)[1])[0]
	run("farmers suspend " + id + " --reason disks")
	shown := strings.Join(run("farmers show "+id), "\n")
	for _, want := range []string{first, "192.0.2.1", "standing    suspended since ", ": disks; it ends if the operator", "contracts   2, 2.0 KiB", "heartbeats  0, the last never", "suspended  -"} {
		if !strings.Contains(shown, want) {
			t.Errorf("show prints\n%s\nwant %q in it", shown, want)
		}
	}
	acts := run("audit --limit 1")
	if len(acts) != 2 || !strings.HasSuffix(acts[1], "suspended farmer "+id+": disks") || !strings.Contains(acts[1], "@") {
		t.Errorf("audit lists %q", acts)
	}
}

// TestFilesAreListed checks what files prints about a file with one copy that is not
// proved.
func TestFilesAreListed(t *testing.T) {
	t.Parallel()
	o := newCommandDir(t)
	base, err := os.ReadFile(o.config)
	testenv.Must(t, err)
	o.config = o.write("twofold.yaml", string(base)+"inventory: {redundancy: 2}\n")
	step := func(args, want string) (last string) {
		t.Helper()
		status, printed := o.run(strings.Fields(args)...)
		if status != 0 || !strings.Contains(printed, want) {
			t.Fatalf("%s: status %d; printed %q, want %q in it", args, status, printed, want)
		}
		lines := strings.Split(strings.TrimSpace(printed), "\n")
		return lines[len(lines)-1]
	}
	step("db migrate", "")
	step("chunks generate 1KiB", "")
	o.handOut("19qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3jV", 1)
	file := step("files list", "1.0 KiB  0       1         0")
	if below := step("files list --below-target --limit 1", ""); below != file {
		t.Errorf("%q, want %q", below, file)
	}
	hash := strings.Fields(file)[0]
	step("files show "+hash, hash+", 1.0 KiB\nFARMER ")
	step("files show "+hash, "  unproven  -\n")
}

// handOut gives an address a token with that many contracts.
// TestMigrateDownRefuses checks that the tables do not go back under a process, nor forwards.
func TestMigrateDownRefuses(t *testing.T) {
	t.Parallel()
	o := newCommandDir(t)
	if status, printed := o.run("db", "migrate"); status != 0 {
		t.Fatal(printed)
	}
	refuse := func(version, says string) {
		t.Helper()
		if status, printed := o.run("db", "migrate", "--lose-data", "--down-to", version); status != 1 || !strings.Contains(printed, says) {
			t.Errorf("status %d, printed %q, want %q", status, printed, says)
		}
	}
	refuse("99", "cannot go back to version 99")
	st, err := store.Open(store.Config{Driver: store.SQLite, Path: filepath.Join(o.dir, "node.db")}, slog.Default())
	testenv.Must(t, err)
	_, err = st.NewProcess("api-1", store.KindAPI).Beat(t.Context())
	testenv.Must(t, errors.Join(err, st.Close()))
	refuse("0", "stop all API replicas and workers")
	o.execute("UPDATE processes SET seen = seen - 16000000")
	if status, printed := o.run("db", "migrate", "--lose-data", "--down-to", "0"); status != 0 {
		t.Error(printed)
	}
}

func (o commandDir) handOut(address string, contracts int) {
	o.t.Helper()
	st, err := store.Open(store.Config{Driver: store.SQLite, Path: filepath.Join(o.dir, "node.db")}, slog.Default())
	testenv.Must(o.t, err)
	defer st.Close()
	ctx, now, hash := o.t.Context(), time.Now(), node.NewToken().Hash()
	testenv.Must(o.t, st.CreateToken(ctx, store.NewToken{Hash: hash, Address: address, IP: "192.0.2.1", KeyID: 1}, store.TokenLimits{}, now))
	token, err := st.Token(ctx, hash)
	testenv.Must(o.t, err)
	out, err := st.HandOut(ctx, token, 1<<20, store.HandOutLimits{Contracts: contracts}, time.Hour, now)
	testenv.Must(o.t, err)
	if len(out) != contracts {
		o.t.Fatalf("%d contracts, want %d", len(out), contracts)
	}
}

// TestMigrateChecksTheOwner checks that migrate fails if the database belongs to another
// DownstreamNode, and that a person can move the database.
func TestMigrateChecksTheOwner(t *testing.T) {
	t.Parallel()
	o := newCommandDir(t)
	base, err := os.ReadFile(o.config)
	if err != nil {
		t.Fatal(err)
	}
	as := func(node string) commandDir {
		other := o
		other.config = o.write("owner.yaml", string(base)+"node: {"+node+"}\n")
		return other
	}
	const first, other = "name: farm.node, uid: uid-1", "name: elsewhere.node, uid: uid-2"
	steps := []struct {
		node, args string
		status     int
		prints     string
	}{
		{first, "db migrate --down-to 0 --lose-data", 0, "version 0"},
		{other, "db migrate", 0, "the tables are at version"}, // a new database is claimed
		{first, "db migrate", 4, "it belongs to elsewhere.node (uid-2), not to farm.node (uid-1); give this node another database"},
		{first, "db owner", 0, "the database belongs to elsewhere.node (uid-2)"},
		{"name: farm.node", "db migrate", 0, "the tables are at version"}, // without an operator
		{first, "db owner --remove", 0, "no longer belongs to elsewhere.node (uid-2)"},
		{first, "db owner", 0, "the database has no owner"},
		{first, "db migrate", 0, "the tables are at version"},
		{"name: farm.node, uid: uid-3", "db migrate", 0, "the tables are at version"}, // made again
		{first, "db owner", 0, "the database belongs to farm.node (uid-3)"},
		{other, "db migrate", 4, "it belongs to farm.node (uid-3)"},
		{"name: farm.node, uid: a b", "db migrate", 1, "without spaces"},
	}
	for _, step := range steps {
		status, printed := as(step.node).run(strings.Fields(step.args)...)
		if status != step.status || !strings.Contains(printed, step.prints) {
			t.Errorf("%s: %s: status %d, want %d; printed %q, want %q in it", step.node, step.args, status, step.status, printed, step.prints)
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

func TestKeysAreReplaced(t *testing.T) {
	t.Parallel()
	o := newCommandDir(t)
	old, next := filepath.Join(o.dir, "heartbeat.json"), filepath.Join(o.dir, "next.json")
	fingerprint := func(path string) string {
		t.Helper()
		keys, err := keyring.Load([]string{path})
		testenv.Must(t, err)
		return schemes.Fingerprint(keys[0])[:12]
	}
	step := func(wantStatus int, prints string, args ...string) {
		t.Helper()
		if status, printed := o.run(args...); status != wantStatus || !strings.Contains(printed, prints) {
			t.Errorf("%v: status %d, printed %q; want %d and %q", args, status, printed, wantStatus, prints)
		}
	}
	step(0, "", "db", "migrate")
	step(0, "active", "keys", "list")
	step(1, "name the new file with --out", "keys", "rotate")
	step(1, "replace it with `keys rotate` first", "keys", "retire", fingerprint(old))
	step(1, "0 heartbeat keys have a fingerprint that begins with \"none\"", "keys", "retire", "none")
	step(0, "made the key ", "keys", "rotate", "--out", next, "--compromised")
	step(1, next+" exists already", "keys", "rotate", "--out", next)
	step(0, "active, compromised", "keys", "list")
	o.write("node.yaml", "database: {path: "+filepath.Join(o.dir, "node.db")+"}\nheartbeat: {keyFiles: ["+next+", "+old+"]}\n")
	step(0, "", "db", "migrate")
	step(0, "retiring, compromised", "keys", "list")
	step(1, "is still needed", "keys", "retire", fingerprint(old))

	// What a worker does.
	cfg := config.Default[store.Config]()
	cfg.Path = filepath.Join(o.dir, "node.db")
	st, err := store.Open(cfg, slog.New(slog.DiscardHandler))
	testenv.Must(t, err)
	defer st.Close()
	keys, err := st.Keys(t.Context())
	testenv.Must(t, err)
	_, err = st.ReplaceKey(t.Context(), store.Replacement{Old: keys[0].ID, New: keys[1].ID}, time.Now())
	testenv.Must(t, err)
	step(0, "retired", "keys", "list")
	step(0, "remove "+old+" from heartbeat.keyFiles", "keys", "retire", fingerprint(old))
	if _, err := os.Stat(old); err != nil {
		t.Errorf("a key file that the configuration names was deleted: %v", err)
	}

	// A standalone node keeps its keys beside its database.
	o.write("node.yaml", "database: {path: "+filepath.Join(o.dir, "node.db")+"}\n")
	testenv.Must(t, os.Rename(next, filepath.Join(o.dir, "heartbeat-2.json")))
	step(1, "leave it out", "keys", "rotate", "--out", next)
	garbage := o.write("heartbeat-7.json", "garbage")
	step(1, garbage, "keys", "rotate")
	testenv.Must(t, os.Remove(garbage))
	step(1, "no heartbeat key in "+t.TempDir()[:4], "keys", "rotate", "--data", t.TempDir())
	step(0, filepath.Join(o.dir, "heartbeat-3.json"), "keys", "rotate")
	step(0, "deleted "+old, "keys", "retire", strings.ToUpper(fingerprint(old)))
	step(0, "no key file contains it", "keys", "retire", keys[0].Fingerprint)
	if _, err := os.Stat(old); err == nil {
		t.Error("the file of the retired key was not deleted")
	}
}

// A new pod may not be able to connect to its database at once.
func TestCommandsWaitForTheDatabase(t *testing.T) {
	t.Parallel()
	o := newCommandDir(t)
	m := testenv.StartMariaDB(t, testenv.Fast)
	o.write("node.yaml", "database: {driver: mysql, dsnFile: "+o.write("dsn", m.NewDatabase(t))+"}\n")
	m.Terminate(t)
	started := make(chan struct{})
	go func() {
		defer close(started)
		time.Sleep(time.Second)
		m.Start(t)
	}()
	status, printed := o.run("db", "migrate")
	<-started
	if status != 0 {
		t.Errorf("db migrate ended with %d: %s", status, printed)
	}
}
