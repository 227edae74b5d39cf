package main

import (
	"bytes"
	"database/sql"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/backup"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/internal/testenv"
)

// TestBackupAndRestore dumps a MariaDB, encrypts the dump and the key, and loads both into
// another database, which then fits to a node of another name.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	m := testenv.StartMariaDB(t, testenv.Fast)
	o := newCommandDir(t)
	key := filepath.Join(o.dir, "heartbeat.json")
	configure := func(dsn, key, node string) {
		o.write("node.yaml", "database: {driver: mysql, dsnFile: "+o.write("dsn", dsn)+"}\nheartbeat: {keyFiles: ["+key+"]}\nnode: {name: "+node+"}\n")
	}
	step := func(wantStatus int, prints, args string) (printed string) {
		t.Helper()
		run := o.run
		if strings.HasPrefix(args, "backup show") || strings.HasPrefix(args, "backup read") {
			run = o.runBare // they need no configuration
		}
		status, printed := run(strings.Fields(args)...)
		if status != wantStatus || !strings.Contains(printed, prints) {
			t.Fatalf("%s: status %d, printed %q; want %d and %q", args, status, printed, wantStatus, prints)
		}
		return printed
	}
	source := m.NewDatabase(t)
	configure(source, key, "farm.node")
	step(0, "", "db migrate")
	step(0, "", "chunks generate 1KiB 3")
	st := openMySQL(t, source)
	now, hash := time.Now(), node.NewToken().Hash()
	testenv.Must(t, st.CreateToken(t.Context(), store.NewToken{Hash: hash, Address: "19qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3jV", IP: "192.0.2.1", KeyID: 1}, store.TokenLimits{}, now))
	token, err := st.Token(t.Context(), hash)
	testenv.Must(t, err)
	_, err = st.HandOut(t.Context(), token, 1<<20, store.HandOutLimits{Contracts: 2}, time.Hour, now)
	testenv.Must(t, err)
	testenv.Must(t, st.Claim(t.Context(), store.Owner{Name: "farm.node", UID: "uid"}))
	_, err = st.NewProcess("worker-1", store.KindWorker).Beat(t.Context())
	testenv.Must(t, err)

	id, err := age.GenerateX25519Identity()
	testenv.Must(t, err)
	identity := o.write("identity.txt", id.String()+"\n")
	resource := o.write("resource.json", `{"kind": "DownstreamNode"}`)
	dump := o.write("dump.sql", string(m.Dump(t, source)))
	to := t.TempDir()
	write := "backup write --dump " + dump + " --to " + to + " --resource " + resource + " --recipient "
	step(1, "the recipients must be public keys of age", write+"age1nobody")
	step(1, "--keep is 0", write+id.Recipient().String()+" --keep 0")
	step(1, "is not JSON", strings.Replace(write, resource, dump, 1)+id.Recipient().String())
	step(0, "2 contracts, 1 heartbeat key,", write+id.Recipient().String())
	other := filepath.Join(o.dir, "other.json")
	_, err = keyring.LoadOrCreate(other, heartbeat.Merkle, 0.01)
	testenv.Must(t, err)
	configure(source, other, "farm.node")
	step(1, "a backup without these keys would be useless", write+id.Recipient().String())
	configure(source, key, "farm.node")
	cut := o.write("cut.sql", string(m.Dump(t, source)[:2000]))
	step(1, "is not complete", strings.Replace(write, dump, cut, 1)+id.Recipient().String())

	files, err := backup.Dir{Path: to, Node: "farm.node"}.List()
	testenv.Must(t, err)
	if len(files) != 1 {
		t.Fatalf("the directory has the backups %v, want one", files)
	}
	file := filepath.Join(to, files[0])
	step(0, "farm.node", "backup show --identity "+identity+" "+file)
	if printed := step(0, "", "backup read "+to); !strings.HasPrefix(printed, files[0]+" ") {
		t.Errorf("read lists %q", printed)
	}
	content, err := os.ReadFile(file)
	testenv.Must(t, err)
	if printed := step(0, "", "backup read "+to+" "+files[0]); printed != string(content) {
		t.Errorf("read copies %d bytes of %d", len(printed), len(content))
	}

	b, err := backup.Open(bytes.NewReader(content), []byte(id.String()))
	testenv.Must(t, err)
	var restored bytes.Buffer
	_, err = b.WriteTo(&restored)
	testenv.Must(t, err)
	target := m.NewDatabase(t)
	m.Restore(t, target, restored.Bytes())
	testenv.Must(t, os.WriteFile(filepath.Join(o.dir, "restored.json"), b.Keys[0].File, 0o600))
	configure(target, filepath.Join(o.dir, "restored.json"), "new.node")
	if printed := step(0, "2 live", "db verify"); !strings.Contains(printed, "needed by 2 contracts: "+filepath.Join(o.dir, "restored.json")) || !strings.Contains(printed, "owner              none") {
		t.Errorf("verify prints %q", printed)
	}
	if before, after := incarnation(t, source), incarnation(t, target); before == after || before == "" || after == "" {
		t.Errorf("the incarnation is %q, and was %q, so copies in Redis would be used", after, before)
	}
}

func openMySQL(t *testing.T, dsn string) *store.Store {
	t.Helper()
	cfg := config.Default[store.Config]()
	cfg.Driver, cfg.DSN = store.MySQL, config.Secret(dsn)
	st, err := store.Open(cfg, slog.New(slog.DiscardHandler))
	testenv.Must(t, err)
	t.Cleanup(func() { st.Close() })
	return st
}

// incarnation returns the mark by which processes notice that a database was restored.
func incarnation(t *testing.T, dsn string) (mark string) {
	t.Helper()
	db, err := sql.Open("mysql", dsn)
	testenv.Must(t, err)
	defer db.Close()
	testenv.Must(t, db.QueryRowContext(t.Context(), "SELECT value FROM settings WHERE name = 'incarnation'").Scan(&mark))
	return mark
}
