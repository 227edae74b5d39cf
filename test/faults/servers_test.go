//go:build faults

package faults

import (
	"testing"
	"time"

	"github.com/driveshare/downstream-node/test/ledger"
)

// outage is how long a server is stopped. It is shorter than the interval, so that
// no contract expires.
const outage = 2 * time.Second

// Redis loses its data, is killed, and is restarted, under load. Farmers may get a
// 503, but no other error. Each time, the workers must create the consumer group
// again, because without the group there are no verdicts.
func TestRedisLost(t *testing.T) {
	t.Parallel()
	n := start(t, nil, "300")
	apis := twoAPIs(t, n)
	n.Worker(t, nil)
	n.Worker(t, nil)
	var told ledger.Ledger
	l := begin(t, apis, &told)
	l.await(t, 200)
	for range 2 {
		for range 3 {
			n.Redis.Flush(t)
			l.await(t, 50)
		}
		n.Redis.Kill()
		time.Sleep(outage / 2)
		n.Redis.Start(t)
		l.await(t, 100)
		n.Redis.Terminate(t)
		time.Sleep(outage / 2)
		n.Redis.Start(t)
		l.await(t, 100)
	}
	if tally := audit(t, n, l, &told); tally.Broken > 0 {
		t.Errorf("%d requests were cut off; want a 503", tally.Broken)
	}
}

// MariaDB is stopped, set to read-only, and killed during commits, under load. The
// node must confirm only what is stored, and must recover without help.
func TestDatabaseLost(t *testing.T) {
	n := start(t, nil, "300")
	apis := twoAPIs(t, n)
	n.Worker(t, nil)
	n.Worker(t, nil)
	var told ledger.Ledger
	l := begin(t, apis, &told)
	l.await(t, 200)
	for range 2 {
		n.MariaDB.Terminate(t)
		time.Sleep(outage / 2)
		n.MariaDB.Start(t)
		l.await(t, 100)

		n.MariaDB.SetReadOnly(t, true)
		time.Sleep(outage)
		n.MariaDB.SetReadOnly(t, false)
		l.await(t, 100)

		for range 2 { // each time, MariaDB is killed during another commit
			n.MariaDB.Kill()
			n.MariaDB.Start(t)
			l.await(t, 60)
		}

		n.MariaDB.Pause() // so that commits are still in progress when MariaDB is killed
		time.Sleep(200 * time.Millisecond)
		n.MariaDB.Kill()
		n.MariaDB.Start(t)
		l.await(t, 100)
	}
	tally := audit(t, n, l, &told)
	if tally.Broken > 0 {
		t.Errorf("%d requests were cut off; want a 503", tally.Broken)
	}
	if tally.Unavailable == 0 {
		t.Error("no request got a 503, so the faults did not affect the load")
	}
}
