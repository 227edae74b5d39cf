package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/backup"
	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

// TestRestoreStandalone backs up a node that runs, loses its data directory, restores it, and
// checks that a farmer goes on with its contracts.
func TestRestoreStandalone(t *testing.T) {
	t.Parallel()
	o := newCommandDir(t)
	data, to := filepath.Join(o.dir, "data"), filepath.Join(o.dir, "backups")
	testenv.Must(t, os.Mkdir(to, 0o700))
	o.write("node.yaml", "database: {path: "+filepath.Join(data, "downstream.db")+"}\n")
	step := func(wantStatus int, prints, args string) {
		t.Helper()
		if status, printed := o.runBare(strings.Fields(args)...); status != wantStatus || !strings.Contains(printed, prints) {
			t.Fatalf("%s: status %d, printed %q; want %d and %q", args, status, printed, wantStatus, prints)
		}
	}
	cfg := app.StandaloneDefaults(data, 1)
	cfg.API.Listen, cfg.API.Private.Listen = testenv.FreeAddress(t), testenv.FreeAddress(t)
	// A node that is away for less than 15 seconds moves no deadlines, so the interval is longer.
	cfg.Contracts.Interval, cfg.Inventory.MaxChunkSize, cfg.Inventory.TotalSize = 20*time.Second, 16<<10, 256<<10
	serve := func() (stop func()) {
		return testnode.Background(t, func(ctx context.Context) {
			if err := app.ServeStandalone(ctx, cfg, slog.New(slog.DiscardHandler), data, 0, io.Discard); err != nil {
				t.Error(err)
			}
		})
	}
	stop := serve()
	testenv.WaitFor(t, "the node responds", func() bool {
		resp, err := http.Get("http://" + cfg.API.Listen + "/api/downstream/status/list")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
	client, err := farmer.NewClient("http://"+cfg.API.Listen, farmer.ClientConfig{})
	testenv.Must(t, err)
	t.Cleanup(client.Close)
	f, err := farmer.New(farmer.Config{Client: client, Address: farmAddress, Dir: t.TempDir(), Size: 32 << 10, Retry: 100 * time.Millisecond, TakeEvery: 100 * time.Millisecond})
	testenv.Must(t, err)
	testnode.Background(t, func(ctx context.Context) {
		if err := f.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	testenv.WaitFor(t, "each contract has a heartbeat", func() bool {
		s := f.Snapshot()
		return s.Bytes == 32<<10 && s.Heartbeats >= int64(s.Contracts)
	})

	id, err := age.GenerateX25519Identity()
	testenv.Must(t, err)
	identity := o.write("identity.txt", id.String()+"\n")
	config := " --config " + o.config
	step(1, "--dump is for MySQL", "backup write --to "+to+" --dump "+identity+config)
	step(1, "--to must be a directory", "backup write --to "+filepath.Join(o.dir, "absent")+config)
	step(0, "1 heartbeat key, a database of ", "backup write --to "+to+" --recipient "+id.Recipient().String()+config)
	files, err := backup.Dir{Path: to, Node: "downstream"}.List()
	testenv.Must(t, err)
	if entries, err := os.ReadDir(to); err != nil || len(files) != 1 || len(entries) != 1 {
		t.Fatalf("the directory has %v, want one backup; %v", entries, err)
	}
	file := filepath.Join(to, files[0])
	before := f.Snapshot()
	step(1, data+" is not empty", "restore "+file+" --identity "+identity+" --data "+data)
	stop()
	testenv.Must(t, os.RemoveAll(data))
	step(1, "name your identity file of age with --identity", "restore "+file+" --data "+data)
	step(0, "of downstream, as of ", "restore "+file+" --identity "+identity+" --data "+data)
	serve()
	again := func() bool { return f.Snapshot().Heartbeats >= before.Heartbeats+int64(before.Contracts) }
	for range 4 { // an interval, and on a busy machine the restore and the start
		if !again() {
			time.Sleep(cfg.Contracts.Interval)
		}
	}
	testenv.WaitFor(t, "the farmer sends proofs again", again)
	if after := f.Snapshot(); after.Lost > 0 || after.Contracts != before.Contracts {
		t.Errorf("%d contracts, before the restore %d; %d lost: %s", after.Contracts, before.Contracts, after.Lost, after.LostWhy)
	}
	step(0, "restored the backup of ", "audit"+config)
	step(0, "tables and keys  ok", "doctor"+config)
}

// namesIn returns the names of the files in a directory.
func namesIn(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	testenv.Must(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return strings.Join(names, " ")
}

// TestRestoreLeavesNothingBehind checks the backups that cannot be restored.
func TestRestoreLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	o := newCommandDir(t)
	to := t.TempDir()
	for _, args := range []string{"db migrate", "chunks generate 1KiB 3", "backup write --to " + to} {
		if status, printed := o.run(strings.Fields(args)...); status != 0 {
			t.Fatal(printed)
		}
	}
	files, err := backup.Dir{Path: to, Node: "downstream"}.List()
	testenv.Must(t, err)
	good := filepath.Join(to, files[0])
	if info, err := os.Stat(good); err != nil || info.Mode().Perm() != 0o600 || !strings.HasSuffix(good, ".tar.gz") {
		t.Errorf("the backup %s has the mode %v, %v", good, info.Mode(), err)
	}
	content, err := os.ReadFile(good)
	testenv.Must(t, err)
	parent := t.TempDir()
	data := filepath.Join(parent, "data")
	cut := o.write("cut.tar.gz", string(content[:len(content)-9]))
	for file, says := range map[string]string{
		filepath.Join(to, "absent"): "no such file",
		o.config:                    "the backup is encrypted, or is not a backup",
		cut:                         "truncated or damaged",
	} {
		if status, printed := o.runBare("restore", file, "--data", data); status != 1 || !strings.Contains(printed, says) {
			t.Errorf("%s: status %d, printed %q; want %q", file, status, printed, says)
		}
		if entries, err := os.ReadDir(parent); err != nil || len(entries) > 0 {
			t.Errorf("%s: the directory has %v, %v", file, entries, err)
		}
	}
	// Like a mount point, this directory exists and has what the file system makes. Nobody
	// but root may write beside /var/lib/downstream-node.
	testenv.Must(t, os.MkdirAll(filepath.Join(data, "lost+found"), 0o700))
	before, err := os.Stat(data)
	testenv.Must(t, err)
	testenv.Must(t, os.Chmod(parent, 0o500))
	t.Cleanup(func() { _ = os.Chmod(parent, 0o700) })
	if status, printed := o.runBare("restore", cut, "--data", data); status != 1 || !strings.Contains(printed, "truncated or damaged") {
		t.Errorf("status %d, printed %q", status, printed)
	}
	if names := namesIn(t, data); names != "lost+found" {
		t.Errorf("a failed restore left %s", names)
	}
	if status, printed := o.runBare("restore", good, "--data", data); status != 0 {
		t.Error(printed)
	}
	if names := namesIn(t, data); names != "downstream.db heartbeat.json lock lost+found" {
		t.Errorf("the restored directory has %s", names)
	}
	if after, err := os.Stat(data); err != nil || !os.SameFile(before, after) {
		t.Errorf("the restore replaced the directory, which fails for a mount point; %v", err)
	}
	if status, printed := o.runBare("restore", good, "--data", data); status != 1 || !strings.Contains(printed, "is not empty") {
		t.Errorf("again: status %d, printed %q", status, printed)
	}
	for _, name := range []string{"downstream.db", "heartbeat.json"} {
		if info, err := os.Stat(filepath.Join(data, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	o.write("node.yaml", "database: {path: "+filepath.Join(data, "downstream.db")+"}\n")
	if status, printed := o.run("chunks", "list"); status != 0 || !strings.Contains(printed, "1.0 KiB  3") {
		t.Errorf("the restored inventory: %s", printed)
	}
}
