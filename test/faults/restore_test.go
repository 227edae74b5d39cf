//go:build faults

package faults

import (
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/test/deployment"
	"github.com/driveshare/downstream-node/test/ledger"
)

// A backup of the database is restored while the node runs. Farmers of the backup
// must continue. Farmers that joined after the backup are unknown, and must not act
// on the rows of others, although they continue to send requests. The status list
// must not show them, and no count may contradict the contracts.
func TestDatabaseRestored(t *testing.T) {
	for _, tt := range []struct {
		name    string
		command bool // whether the operator runs `db restored`
	}{{"with the documented step", true}, {"without the documented step", false}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			restoreUnderLoad(t, tt.command)
		})
	}
}

func restoreUnderLoad(t *testing.T, command bool) {
	n := start(t, deployment.Settings{"contracts.interval": "20s", "sweep.interval": "1s"}, "400")
	apis := twoAPIs(t, n)
	n.Worker(t, nil)
	n.Worker(t, nil)
	opt := loadOptions{
		URLs: urls(apis), Farmers: 5, Contracts: 10, Size: chunkSize, Batch: 10,
		WrongEach: 20, AgainEach: 10, Timeout: 10 * time.Second,
	}
	var told, forgotten ledger.Ledger
	opt.Ledger = &told
	early := startLoad(t, opt)
	early.await(t, 50)
	early.pause(t)
	dump, dumped := n.Dump(t), time.Now()

	opt.Ledger = &forgotten
	ghosts := startLoad(t, opt)
	ghosts.await(t, 50)
	eventually(t, "the replicas list all farmers", func() bool {
		return listed(t, apis[0]) == 2*opt.Farmers && listed(t, apis[1]) == 2*opt.Farmers
	})
	if !command { // processes notice a restore if they have written their rows since the backup
		eventually(t, "every process has written its row since the backup", func() bool { return oldestRow(t, n).After(dumped) })
	}
	n.Restore(t, dump) // ghosts continue
	if command {
		n.Run(t, nil, "db", "restored")
	}
	began := time.Now()
	eventually(t, "no replica lists a farmer that the database does not have", func() bool {
		return listed(t, apis[0]) == opt.Farmers && listed(t, apis[1]) == opt.Farmers
	})
	noticed := time.Since(began)
	before := ghosts.tally().Verdicts
	early.resume()
	opt.Ledger = &told
	late := startLoad(t, opt)
	late.await(t, 60)
	early.await(t, 60) // also challenges that were issued before the backup
	ghosts.halt()
	if after := ghosts.tally().Verdicts; after > before {
		t.Errorf("farmers that the database does not have got %d verdicts", after-before)
	}
	early.pause(t)
	late.pause(t)
	n.Run(t, nil, "db", "clean")
	contradictions := contradicting(t, n)
	eventually(t, "the counts agree with the contracts", func() bool {
		contradictions = contradicting(t, n)
		return contradictions == 0
	})
	count := told.Audit(n.Records(t))
	for _, l := range []*load{early, late} {
		if tally := l.tally(); tally.Broken > 0 || tally.Expired > 0 || len(tally.Strange) > 0 {
			t.Errorf("%v, strange: %v", tally, tally.Strange)
		}
	}
	if !count.Clean() {
		t.Error("the records differ from the verdicts that farmers received")
	}
	t.Logf("restore: noticed within %.1f s, ghosts 0, contradicting counts %d, heartbeats told = recorded: %v",
		noticed.Seconds(), contradictions, count)
}

// listed returns the number of farmers in a replica's status list, or -1 if the
// replica does not respond.
func listed(t *testing.T, api *deployment.Replica) int {
	t.Helper()
	client, err := farmer.NewClient(api.URL, farmer.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	farmers, err := client.StatusList(t.Context(), farmer.StatusQuery{})
	if err != nil {
		return -1
	}
	return len(farmers)
}

// oldestRow returns when the processes wrote their rows for the last time: the earliest
// of these times.
func oldestRow(t *testing.T, n *deployment.Node) time.Time {
	t.Helper()
	db := n.Database(t)
	defer db.Close()
	var seen int64
	if err := db.QueryRowContext(t.Context(), "SELECT MIN(seen) FROM processes WHERE kind <> 'command'").Scan(&seen); err != nil {
		t.Fatal(err)
	}
	return time.UnixMicro(seen)
}

// contradicting returns the number of tokens whose counts differ from their
// contracts, and of contracts without a token.
func contradicting(t *testing.T, n *deployment.Node) (count int) {
	t.Helper()
	db := n.Database(t)
	defer db.Close()
	err := db.QueryRowContext(t.Context(), "SELECT (SELECT COUNT(*) FROM tokens t WHERE t.contracts < 0 OR t.contracts <>"+
		" (SELECT COUNT(*) FROM contracts c WHERE c.token_id = t.id AND c.live = 1))"+
		" + (SELECT COUNT(*) FROM contracts c WHERE NOT EXISTS (SELECT 1 FROM tokens t WHERE t.id = c.token_id))").Scan(&count)
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// A node of a Galera cluster is cut off from the cluster and refuses every statement
// with error 1047. Farmers must get a 503, no job may become a dead letter, /readyz
// must say what the server says, and the node must recover without help.
func TestGaleraNodeCutOff(t *testing.T) {
	t.Parallel()
	n := start(t, nil, "300", testenv.GaleraOptions(t)...)
	apis := twoAPIs(t, n)
	processes := append([]*deployment.Replica{n.Worker(t, nil), n.Worker(t, nil)}, apis...)
	var told ledger.Ledger
	l := begin(t, apis, &told)
	l.await(t, 200)
	const rounds = 3
	for range rounds {
		n.MariaDB.CutOff(t, true)
		cut := time.Now()
		for _, p := range processes {
			eventually(t, "/readyz repeats the server's words", func() bool {
				ready, says := p.Readiness()
				return !ready && strings.Contains(says, "WSREP has not yet prepared node")
			})
		}
		time.Sleep(time.Until(cut.Add(outage)))
		n.MariaDB.CutOff(t, false)
		for _, p := range processes {
			eventually(t, "the process is ready again", p.Ready)
		}
		l.await(t, 100)
	}
	tally := audit(t, n, l, &told)
	dead, err := n.OpenRedis(t).XLen(t.Context(), deployment.DeadLetters).Result()
	if err != nil || dead > 0 {
		t.Errorf("%d dead letters, %v", dead, err)
	}
	if tally.Broken > 0 || tally.Unavailable == 0 {
		t.Errorf("%d requests were cut off and %d got a 503; want none and some", tally.Broken, tally.Unavailable)
	}
	t.Logf("Galera: cut off %d times, dead letters %d, requests answered 503 %d, contracts lost %d", rounds, dead, tally.Unavailable, tally.Expired)
}
