package workers_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
	"github.com/driveshare/downstream-node/workers"
)

// refusing is a harness whose database can refuse updates of contracts, with an error
// that belongs to the row.
type refusing struct {
	*harness
	db       *sql.DB
	registry *prometheus.Registry
}

func openRefusing(t *testing.T) *refusing {
	t.Helper()
	t.Parallel()
	dsn := testenv.NewDatabase(t)
	r := &refusing{registry: prometheus.NewRegistry()}
	r.harness = openHarness(t, testnode.Servers, func(c *app.Config) {
		c.Database.Driver, c.Database.DSN = store.MySQL, config.Secret(dsn)
	})
	var err error
	r.db, err = sql.Open("mysql", dsn)
	must(t, err)
	t.Cleanup(func() { r.db.Close() })
	deps := r.deps()
	deps.Registry = r.registry
	testnode.Background(t, func(ctx context.Context) {
		must(t, workers.NewVerifier(deps, "worker", usual(), wrongAnswers).Run(ctx))
	})
	return r
}

// refuse makes the database refuse updates of the contracts that the SQL condition
// selects.
func (r *refusing) refuse(t *testing.T, condition string) {
	t.Helper()
	_, err := r.db.ExecContext(t.Context(), "CREATE TRIGGER refuse BEFORE UPDATE ON contracts FOR EACH ROW IF "+condition+
		" THEN SIGNAL SQLSTATE '22003' SET MYSQL_ERRNO = 1264, MESSAGE_TEXT = 'refused by the test'; END IF")
	must(t, err)
}

func (r *refusing) wantUnjudged(t *testing.T, reason string, n float64) {
	t.Helper()
	if got := unjudged(t, r.registry); len(got) != 1 || got[reason] != n {
		t.Errorf("jobs without a verdict: %v; want %v for %q", got, n, reason)
	}
}

// The database refuses the verdicts of one job again and again, and stores those of
// others. That job becomes a dead letter.
func TestJobThatTheDatabaseRefusesBecomesADeadLetter(t *testing.T) {
	r := openRefusing(t)
	bad := r.takeOne(t, "bad")
	r.refuse(t, fmt.Sprintf("NEW.id = %d", r.contractNow(t, bad.hash).ID))
	w := r.submit(t, bad)
	n := 0
	waitFor(t, "a dead letter", func() bool {
		r.submit(t, r.takeOne(t, fmt.Sprint("good ", n))).want(t, node.OK)
		n++
		return r.stats(t).Dead == 1
	})
	w.want(t, node.Undecided)
	r.empty(t)
	r.wantUnjudged(t, "refused", 1)
	if got := r.heartbeats(t); got != int64(n) {
		t.Errorf("%d heartbeats, want %d", got, n)
	}
}

// The database refuses all verdicts. No job is at fault, so none becomes a dead letter,
// and their farmers' retries are judged.
func TestDatabaseThatRefusesAllMakesNoDeadLetters(t *testing.T) {
	r := openRefusing(t)
	var contracts []contract
	for i := range 5 {
		contracts = append(contracts, r.takeOne(t, fmt.Sprint("seed ", i)))
	}
	r.refuse(t, "TRUE")
	var jobs []waiting
	for _, c := range contracts {
		jobs = append(jobs, r.submit(t, c))
	}
	time.Sleep(time.Second) // each job fails alone more than three times
	if stats := r.stats(t); stats.Dead != 0 || stats.Pending != 5 {
		t.Errorf("%+v; want 5 pending jobs and no dead letter", stats)
	}
	r.Clock.Advance(20 * time.Second)
	for _, w := range jobs {
		w.want(t, node.Undecided)
	}
	r.empty(t)
	r.wantUnjudged(t, "late", 5)
	_, err := r.db.ExecContext(t.Context(), "DROP TRIGGER refuse")
	must(t, err)
	for _, c := range contracts {
		r.submit(t, c).want(t, node.OK)
	}
	if stats := r.stats(t); stats.Dead != 0 {
		t.Errorf("%d dead letters", stats.Dead)
	}
}
