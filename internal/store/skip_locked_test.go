package store

import (
	"bytes"
	"sync"
	"testing"

	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/testenv"
)

// skipless are the words without which a database behaves as one that ignores SKIP
// LOCKED: it waits for locked rows, or it locks none, as TiDB does.
var skipless = map[string]string{
	"the database waits":      " SKIP LOCKED",
	"the database locks none": " FOR UPDATE SKIP LOCKED",
}

// without returns a store on a server that does not read these words. before is called before
// the server gets a statement with the text, but not for statements that before causes.
func (f *fixture) without(t *testing.T, words, text string, before func()) *Store {
	t.Helper()
	cfg := f.cfg
	var once sync.Once
	cfg.DSN = config.Secret(testenv.MySQLProxy(t, string(f.cfg.DSN), func(packet []byte) {
		testenv.Blank(packet, words)
		if text != "" && bytes.Contains(packet, []byte(text)) {
			once.Do(before)
		}
	}))
	return openStore(t, cfg)
}

func TestSkipsLocked(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		p := f.NewProcess("one", KindAPI)
		beat(t, p)
		if skips, err := p.SkipsLocked(t.Context()); !skips || err != nil {
			t.Errorf("%t, %v", skips, err)
		}
		beat(t, p) // the row is not locked any more
		if f.cfg.Driver == SQLite {
			return
		}
		for name, words := range skipless {
			s := f.without(t, words, "", nil)
			s.cfg.MaxOpen = 1
			p := s.NewProcess(name, KindAPI)
			beat(t, p)
			if skips, err := p.SkipsLocked(t.Context()); skips || err != nil {
				t.Errorf("%s: %t, %v", name, skips, err)
			}
			beat(t, p)
		}
	})
}

// No chunk is handed out twice by a database that ignores SKIP LOCKED.
func TestHandOutsWithoutSkipLocked(t *testing.T) {
	t.Parallel()
	for name, words := range skipless {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, MySQL)
			f.handOutAtOnce(t, f.without(t, words, "", nil), f.without(t, words, "", nil))
		})
	}
}

// A database locks no rows. Between a step's SELECT and its DELETE, another step takes or
// changes the rows. The first step must not use what it read.
func TestRowsTakenWithoutLocks(t *testing.T) {
	t.Parallel()
	const words, text = " FOR UPDATE SKIP LOCKED", "DELETE FROM chunks"
	t.Run("two hand-outs", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, MySQL)
		first, second := f.token(t, "first"), f.token(t, "second")
		f.stock(t, 8, 8, 8)
		var taken []held
		s := f.without(t, words, text, func() { taken = f.ask(t, second, 2, start) })
		out, err := s.HandOut(t.Context(), first, 1<<40, HandOutLimits{Contracts: 2}, interval, start)
		must(t, err)
		if len(taken) != 2 || len(out) != 1 {
			t.Errorf("%d chunks, and then %d, of 3", len(taken), len(out))
		}
		f.checkInvariant(t)
	})
	t.Run("the file gets copies before the hand-out", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, MySQL)
		token := f.token(t, "address")
		f.stock(t, 8)
		s := f.without(t, words, text, func() {
			_, err := f.Copies(t.Context(), 0, 10)
			if err != nil {
				t.Error(err)
			}
		})
		out, err := s.HandOut(t.Context(), token, 1<<40, HandOutLimits{Contracts: 1}, interval, start)
		must(t, err)
		if n := f.count(t, "contents", "1 = 1"); len(out) != 1 || n != 1 {
			t.Errorf("%d chunks, of %d files with copies", len(out), n)
		}
		f.checkInvariant(t)
	})
	t.Run("a hand-out before the inventory is cleared", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, MySQL)
		token := f.token(t, "address")
		f.stock(t, 8, 8, 8)
		var taken []held
		s := f.without(t, words, text, func() { taken = f.ask(t, token, 1, start) })
		cleared, err := s.ClearChunks(t.Context())
		must(t, err)
		if len(taken) != 1 || cleared != 2 {
			t.Errorf("%d chunks handed out and %d deleted, of 3", len(taken), cleared)
		}
		for _, table := range []string{"files", "tags", "contracts"} {
			if n := f.count(t, table, "1 = 1"); n != 1 {
				t.Errorf("%d %s, want 1", n, table)
			}
		}
		f.checkInvariant(t)
	})
}
