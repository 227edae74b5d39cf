package store

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/testenv"
)

// replicated is a store whose database has a replica.
type replicated struct {
	*fixture
	process *Process
	server  *testenv.MariaDB // the replica
	logs    *logs
}

// logs collects the text of a log.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) count(words string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), words)
}

const (
	usesReplica = "come from the replica"
	usesPrimary = "come from the primary"
)

func newReplicated(t *testing.T, primary, replica *testenv.MariaDB, maxLag time.Duration) *replicated {
	t.Helper()
	cfg := config.Default[Config]()
	dsn := primary.NewDatabase(t)
	cfg.Driver, cfg.DSN, cfg.ReadDSN, cfg.MaxLag = MySQL, config.Secret(dsn), config.Secret(replica.DSN(t, dsn)), maxLag
	r := &replicated{server: replica, logs: &logs{}}
	s, err := Open(cfg, slog.New(slog.NewTextHandler(r.logs, nil)))
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	r.fixture = &fixture{Store: s}
	must(t, s.Migrate(t.Context()))
	keys, err := s.RegisterKeys(t.Context(), []Key{{Fingerprint: "one", Type: "Merkle"}}, nil, start)
	must(t, err)
	r.key = keys[0].ID
	r.process = s.NewProcess("one", KindAPI)
	r.follow(t)
	r.look(t)
	if !s.replica.inUse() {
		t.Fatal("a replica that is in step is not in use")
	}
	return r
}

// follow waits until the replica has everything that the primary has.
func (r *replicated) follow(t *testing.T) {
	t.Helper()
	beat(t, r.process)
	testenv.WaitFor(t, "the replica in step", func() bool {
		lag, err := r.measureReplica(t.Context())
		return err == nil && lag == 0
	})
}

// look measures once, as WatchReplica does every two seconds.
func (r *replicated) look(t *testing.T) {
	t.Helper()
	r.replica.set(r.measureReplica(t.Context()))
}

// farmers returns the ids in a full read.
func (r *replicated) farmers(t *testing.T) (ids []string, at time.Time) {
	t.Helper()
	news, err := r.FarmersSince(t.Context(), 0, time.Now())
	must(t, err)
	for _, f := range news.Changed {
		ids = append(ids, f.ID)
	}
	return ids, news.Time
}

func TestReplicaIsOneServer(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[config.Secret]string{
		"u:p@tcp(a:3306,b:3306)/d": "database.readDSN: it names 2 servers; name one of them",
		"mysql://a/d":              "database.readDSN: the MySQL DSN is a URL",
	} {
		if _, err := openReplica(Config{ReadDSN: dsn}, slowLog{}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestReplica(t *testing.T) {
	t.Parallel()
	primary := testenv.StartMariaDB(t, testenv.Fast, testenv.PrimaryOptions...)
	server := primary.StartReplica(t)

	t.Run("it is too far behind, and returns", func(t *testing.T) {
		const maxLag = time.Second
		r := newReplicated(t, primary, server, maxLag)
		first := r.token(t, "first")
		r.follow(t)
		server.Follow(t, false)
		second := r.token(t, "second")
		before := time.Now()
		if ids, at := r.farmers(t); !slices.Equal(ids, []string{first.FarmerID}) || !at.Before(before) {
			t.Errorf("the replica has %v at %v", ids, at)
		}
		time.Sleep(maxLag + 100*time.Millisecond)
		beat(t, r.process)
		for range 3 {
			r.look(t)
		}
		if lag, known := r.ReplicaLag(); lag <= maxLag || !known {
			t.Errorf("a lag of %v, known: %t", lag, known)
		}
		if ids, at := r.farmers(t); len(ids) != 2 || at.Before(before) {
			t.Errorf("the primary has %v at %v", ids, at)
		}
		if n := r.logs.count(usesPrimary); n != 1 {
			t.Errorf("%d warnings, want 1", n)
		}
		server.Follow(t, true)
		r.follow(t)
		for range 3 {
			r.look(t)
		}
		if ids, _ := r.farmers(t); !r.replica.inUse() || !slices.Contains(ids, second.FarmerID) {
			t.Errorf("after its return the replica has %v, in use: %t", ids, r.replica.inUse())
		}
		if n := r.logs.count(usesReplica); n != 2 {
			t.Errorf("%d messages about the use of the replica, want 2", n)
		}
	})

	// A reader continues from the last mark. What was committed before the mark but came to the
	// replica after it must not be lost.
	t.Run("no change is missed", func(t *testing.T) {
		r := newReplicated(t, primary, server, time.Hour)
		server.Follow(t, false)
		token := r.token(t, "late")
		time.Sleep(lateCommit + 200*time.Millisecond)
		news, err := r.FarmersSince(t.Context(), 0, time.Now())
		must(t, err)
		if len(news.Changed) != 0 {
			t.Fatal("the replica does not lag")
		}
		server.Follow(t, true)
		r.follow(t)
		news, err = r.FarmersSince(t.Context(), news.Mark, time.Now())
		must(t, err)
		if news.Whole || len(news.Changed) != 1 || news.Changed[0].ID != token.FarmerID {
			t.Errorf("%d changes, all farmers: %t; want the late one", len(news.Changed), news.Whole)
		}
	})

	t.Run("a read fails", func(t *testing.T) {
		r := newReplicated(t, primary, server, time.Hour)
		server.Follow(t, false)
		must(t, r.replica.Exec("RENAME TABLE spans TO hidden").Error)
		for range 3 {
			_, err := r.History(t.Context(), start, start.Add(time.Hour), time.Hour)
			must(t, err)
			r.look(t)
		}
		if r.replica.inUse() || r.logs.count(usesPrimary) != 1 {
			t.Errorf("in use: %t, %d warnings", r.replica.inUse(), r.logs.count(usesPrimary))
		}
		must(t, r.replica.Exec("RENAME TABLE hidden TO spans").Error)
		r.replica.failed = time.Now().Add(-replicaRest - time.Second)
		if r.look(t); !r.replica.inUse() {
			t.Error("the replica is not in use again")
		}
		server.Follow(t, true)
	})

	t.Run("the database is set back", func(t *testing.T) {
		r := newReplicated(t, primary, server, time.Hour)
		server.Follow(t, false)
		must(t, r.Restored(t.Context()))
		if beat(t, r.process); r.replica.inUse() {
			t.Error("the replica is in use after a restore")
		}
		if _, err := r.measureReplica(t.Context()); err == nil || !strings.Contains(err.Error(), "restore") {
			t.Errorf("error %v", err)
		}
		server.Follow(t, true)
		testenv.WaitFor(t, "the replica with the restore", func() bool {
			_, err := r.measureReplica(t.Context())
			return err == nil
		})
	})

	// The replica gets other values than the primary, so the test sees where a value comes from.
	t.Run("what is read where", func(t *testing.T) {
		r := newReplicated(t, primary, server, time.Hour)
		token := r.token(t, "address")
		chunk := r.chunk(8)
		chunk.Redundancy = 2
		must(t, r.Stock(t.Context(), 0, chunk, start))
		r.commit(t, answer(token, r.ask(t, token, 1, start)[0], true, start))
		must(t, r.RecordCopies(t.Context(), 2, start))
		r.follow(t)
		server.Follow(t, false)
		for _, text := range []string{
			"UPDATE tokens SET heartbeats = 77, day_heartbeats = 77", "UPDATE spans SET heartbeats = 77",
			"UPDATE contents SET live = 0", "UPDATE copy_hours SET copy_seconds = 77 * 86400",
		} {
			must(t, r.replica.Exec(text).Error)
		}
		news, err := r.FarmersSince(t.Context(), 0, time.Now())
		must(t, err)
		spans, err := r.History(t.Context(), start, start, time.Hour)
		must(t, err)
		counts, err := r.CopyCounts(t.Context())
		must(t, err)
		repairs, err := r.Repairs(t.Context(), start)
		must(t, err)
		if news.Changed[0].Heartbeats != 77 || spans[0].Heartbeats < 77 || len(counts) != 0 || repairs.CopyDays != 77 {
			t.Errorf("not of the replica: %d heartbeats, %v, %v, %v", news.Changed[0].Heartbeats, spans, counts, repairs)
		}
		days, err := r.FarmerDays(t.Context(), token.FarmerID, start, start)
		must(t, err)
		must(t, r.RecordCopies(t.Context(), 2, start))
		hours, err := r.CopyHours(t.Context(), start.Add(-time.Hour))
		must(t, err)
		if n := r.farmer(t, token, start).Heartbeats; n != 1 || days[0].Heartbeats != 1 || hours[0].Files != 1 {
			t.Errorf("not of the primary: %d heartbeats, %v, %v", n, days, hours)
		}
	})

	t.Run("it stops", func(t *testing.T) {
		r := newReplicated(t, primary, primary, time.Hour) // a replica that is always in step
		token := r.token(t, "address")
		must(t, r.replica.pool.Close())
		if ids, _ := r.farmers(t); !slices.Equal(ids, []string{token.FarmerID}) {
			t.Errorf("farmers %v", ids)
		}
		r.look(t)
		if _, known := r.ReplicaLag(); known || r.replica.inUse() || r.logs.count(usesPrimary) != 1 {
			t.Errorf("lag known: %t, in use: %t, %d warnings", known, r.replica.inUse(), r.logs.count(usesPrimary))
		}
	})
}
