package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/config"
)

func TestExposed(t *testing.T) {
	t.Parallel()
	place := func(mode os.FileMode, mounted bool) string {
		dir := t.TempDir()
		path := filepath.Join(dir, "secret")
		testWrite(t, path, mode)
		if mounted {
			testWrite(t, filepath.Join(dir, "..data"), 0o600)
		}
		return path
	}
	for _, tt := range []struct {
		name string
		path string
		warn bool
	}{
		{"owner only", place(0o600, false), false},
		{"owner and group", place(0o440, false), false},
		{"everyone", place(0o644, false), true},
		{"everyone, without the group", place(0o604, false), true},
		{"everyone, in a Kubernetes volume", place(0o444, true), false},
		{"no file", filepath.Join(t.TempDir(), "none"), false},
		{"not set", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for key, set := range map[string]func(*app.Config){
				"heartbeat.keyFiles":         func(c *app.Config) { c.Heartbeat.KeyFiles = []string{"", tt.path} },
				"api.tls.keyFile":            func(c *app.Config) { c.API.TLS.KeyFile = tt.path },
				"database.dsnFile":           func(c *app.Config) { c.Database.DSNFile = tt.path },
				"database.passwordFile":      func(c *app.Config) { c.Database.PasswordFile = tt.path },
				"database.keyFile":           func(c *app.Config) { c.Database.KeyFile = tt.path },
				"redis.urlFile":              func(c *app.Config) { c.Redis.Server.URLFile = tt.path },
				"redis.passwordFile":         func(c *app.Config) { c.Redis.Server.PasswordFile = tt.path },
				"redis.sentinelPasswordFile": func(c *app.Config) { c.Redis.Server.SentinelPasswordFile = tt.path },
			} {
				c := app.Default()
				set(&c)
				got := strings.Join(config.Exposed(&c), "\n")
				want := key + ": every user of this machine can read " + tt.path
				if warned := strings.HasPrefix(got, want) && strings.HasSuffix(got, "chmod o= "+tt.path); warned != tt.warn || !tt.warn && got != "" {
					t.Errorf("%s: %q, want a warning: %t", key, got, tt.warn)
				}
			}
		})
	}
	c := app.Default()
	c.Geo.File, c.API.TLS.CertFile, c.Redis.Server.CAFile = place(0o644, false), place(0o644, false), place(0o644, false)
	if got := config.Exposed(&c); got != nil {
		t.Errorf("files without secrets: %q", got)
	}
}

func testWrite(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, nil, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // the umask does not apply to Chmod
		t.Fatal(err)
	}
}
