package store

import (
	"strings"
	"testing"
	"time"
)

// TestActs checks that acts are listed with the newest first, and that each is taken once.
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
		for i, want := range []int{2, 0} {
			taken, err := f.TakeActs(t.Context())
			must(t, err)
			if len(taken) != want || want > 0 && taken[0].What != "first" {
				t.Errorf("call %d takes %+v, want %d acts", i+1, taken, want)
			}
		}
		must(t, f.RecordAct(t.Context(), "bob@node", "third"))
		if taken, err := f.TakeActs(t.Context()); err != nil || len(taken) != 1 || taken[0].Who != "bob@node" {
			t.Errorf("took %+v, %v", taken, err)
		}
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
