package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/internal/testenv"
)

// TestDemoCannotSign checks that a demo on a node that needs signatures fails at once.
func TestDemoCannotSign(t *testing.T) {
	t.Setenv("DOWNSTREAM_ACCESS_SIGNATURES", "true")
	root := newRootCommand()
	root.SetArgs([]string{"standalone", "--demo", "1", "--data", t.TempDir()})
	if err := root.Execute(); err == nil || !strings.Contains(err.Error(), "access.signatures") {
		t.Errorf("%v, want an error that names the setting", err)
	}
}

// TestFirstLineOfTheLog checks that the line says what runs and with what, without
// credentials.
func TestFirstLineOfTheLog(t *testing.T) {
	t.Parallel()
	cfg := app.Default()
	cfg.Database.Driver, cfg.Database.DSN = store.MySQL, "farm:hunter2@tcp(db.example:3306)/farm"
	cfg.Redis.Server.URL = "redis://farm:hunter3@redis.example:6379/1"
	cmd, _, err := newRootCommand().Find([]string{"worker"})
	testenv.Must(t, err)
	testenv.Must(t, cmd.ParseFlags([]string{"--config", "/etc/node.yaml"}))
	var log bytes.Buffer
	cmd.SetErr(&log)
	startLog(cmd, cfg)
	for _, want := range []string{
		`"level":"INFO","msg":"starting","process":"worker","version":"`, `"node":"downstream","config":"/etc/node.yaml"`,
		`"database":"MySQL db.example:3306/farm","redis":"Redis redis.example:6379"`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the line is\n%s\nwant %s in it", &log, want)
		}
	}
	if strings.Contains(log.String(), "hunter") {
		t.Errorf("the line has a password: %s", &log)
	}
}
