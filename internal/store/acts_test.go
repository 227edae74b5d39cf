package store

import (
	"context"
	"strings"
	"testing"
	"time"
)

// TestActs checks that acts are listed with the newest first, and that each is logged once, or
// again if the process ended before it was marked.
func TestActs(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		must(t, f.RecordAct(t.Context(), "alice@node", "first"))
		must(t, f.RecordAct(t.Context(), strings.Repeat("é", 500), strings.Repeat("ö", 1000)))
		acts, err := f.Acts(t.Context(), 10)
		must(t, err)
		if len(acts) != 2 || acts[1].Who != "alice@node" || acts[1].What != "first" || time.Since(acts[1].At).Abs() > time.Hour {
			t.Errorf("the acts are %+v", acts)
		}
		if last, err := f.Acts(t.Context(), 1); err != nil || len(last) != 1 || last[0].What != strings.Repeat("ö", maxWhat) || last[0].Who != strings.Repeat("é", maxWho) {
			t.Errorf("the last act is %+v, %v", last, err)
		}
		ctx, end := context.WithCancel(t.Context())
		if err := f.LogActs(ctx, func(Act) { end() }); err == nil {
			t.Error("no error although the acts were not marked")
		}
		logged := func(want int, first string) {
			t.Helper()
			var acts []Act
			must(t, f.LogActs(t.Context(), func(a Act) { acts = append(acts, a) }))
			if len(acts) != want || want > 0 && acts[0].What != first {
				t.Errorf("logged %+v, want %d acts, the first one %q", acts, want, first)
			}
		}
		logged(2, "first")
		logged(0, "")
		must(t, f.transaction(t.Context(), func(tx *tx) error {
			for range 2*loggedActs + 1 {
				if err := tx.exec("INSERT INTO acts (at, who, what, logged) VALUES (1, 'bob@node', 'third', 0)"); err != nil {
					return err
				}
			}
			return nil
		}))
		logged(2*loggedActs+1, "third")
		logged(0, "")
	})
}

// TestWhere checks that no credentials are in the description of a database.
func TestWhere(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]Config{
		"SQLite /data/node.db":     {Driver: SQLite, Path: "/data/node.db"},
		"MySQL db:3306/farm":       {Driver: MySQL, DSN: "u:hunter2@tcp(db:3306)/farm?tls=true"},
		"MySQL a:3306,b:3306/farm": {Driver: MySQL, DSN: "u:hunter2@tcp(a:3306,b:3306)/farm"},
		"MySQL c:3306/other":       {Driver: MySQL, Addrs: []string{"c:3306"}, Name: "other", Username: "u", Password: "hunter2"},
		"MySQL":                    {Driver: MySQL, DSN: "mysql://u:hunter2@db/farm"},
	} {
		if got := cfg.Where(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
