package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/apiserver"
	"github.com/driveshare/downstream-node/internal/testenv"
)

// TestDoctor checks that doctor accepts a node that fits, and that each thing that does not
// fit makes it fail and says why.
func TestDoctor(t *testing.T) {
	t.Parallel()
	o := newCommandDir(t)
	base, err := os.ReadFile(o.config)
	testenv.Must(t, err)
	step := func(wantStatus int, config string, prints ...string) {
		t.Helper()
		o.write("node.yaml", string(base)+config)
		status, printed := o.run("doctor")
		if status != wantStatus {
			t.Errorf("status %d, want %d; printed\n%s", status, wantStatus, printed)
		}
		printed = strings.Join(strings.Fields(printed), " ")
		for _, want := range prints {
			if !strings.Contains(printed, want) {
				t.Errorf("printed\n%s\nwant %q in it", printed, want)
			}
		}
	}
	step(1, "", "database FAILS there is no database "+filepath.Join(o.dir, "node.db"), "clock not run", "doctor: 1 check failed")
	if _, err := os.Stat(filepath.Join(o.dir, "node.db")); err == nil {
		t.Error("doctor made a database")
	}
	if status, printed := o.run("db", "migrate"); status != 0 {
		t.Fatal(printed)
	}
	step(0, "", "configuration ok "+o.config, "database ok SQLite "+filepath.Join(o.dir, "node.db"), "tables and keys ok version", "1 heartbeat key in files",
		"ahead of the database's", "redis ok part of the process", "certificate ok none", "locations ok no database", "disk ")
	step(1, "log: {level: loud}\n", `configuration FAILS`, "line 3: log.level", "doctor: 1 check failed")
	step(1, "geo: {file: "+o.config+"}\n", "locations FAILS geo.file "+o.config)
	step(1, "redis: {url: 'redis://:hunter2@127.0.0.1:1'}\n", "line 3: redis.url: a secret must not be in this file")
	step(1, "redis: {addrs: ['127.0.0.1:1']}\n", "redis FAILS Redis 127.0.0.1:1: redis: write: redis is unavailable")
	testenv.Must(t, os.Chmod(filepath.Join(o.dir, "heartbeat.json"), 0o644))
	step(0, "", "secrets warning heartbeat.keyFiles: every user of this machine can read")
	o.execute("INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)")
	step(1, "", "tables and keys FAILS", "newer than this program needs", "doctor: 1 check failed")
}

func TestDoctorOnCertificates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := apiserver.TLSConfig{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	if _, err := checkCertificate(files, time.Now()); err == nil {
		t.Error("a certificate that is absent: no error")
	}
	testenv.WriteCertificate(t, files.CertFile, files.KeyFile, 1) // for an hour before and after now
	for after, want := range map[time.Duration]string{0: "renew it", 2 * time.Hour: "expired at", -2 * time.Hour: "is not valid before"} {
		_, err := checkCertificate(files, time.Now().Add(after))
		if _, warned := errors.AsType[warning](err); err == nil || !strings.Contains(err.Error(), want) || warned != (after == 0) {
			t.Errorf("after %v: %v, want %q", after, err, want)
		}
	}
}
