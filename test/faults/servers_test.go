//go:build faults

package faults

import (
	"testing"
	"time"

	"github.com/driveshare/downstream-node/test/ledger"
)

// outage is how long a server is gone. It is less than the interval, so that
// contracts survive it.
const outage = 2 * time.Second

// Redis forgets everything, is killed, and is restarted in order, under load.
// Farmers see 503s at most; the group of workers is made anew each time, or
// there would be no more verdicts.
func TestRedisLost(t *testing.T) {
	n := start(t, nil, "300")
	apis := twoAPIs(t, n)
	n.Worker(t, nil)
	n.Worker(t, nil)
	var told ledger.Ledger
	l := begin(t, apis, &told)
	l.Await(t, 200)
	for range 2 {
		for range 3 {
			n.Redis.Flush(t)
			l.Await(t, 50)
		}
		n.Redis.Kill()
		time.Sleep(outage / 2)
		n.Redis.Start(t)
		l.Await(t, 100)
		n.Redis.Terminate(t)
		time.Sleep(outage / 2)
		n.Redis.Start(t)
		l.Await(t, 100)
	}
	if tally := audit(t, n, l, &told); tally.Broken > 0 {
		t.Errorf("%d requests were cut off, where 503 was to be answered", tally.Broken)
	}
}

// MariaDB is stopped, turned read-only and killed in the middle of commits,
// under load. Nothing is acknowledged that is not stored, and the node recovers
// by itself.
func TestDatabaseLost(t *testing.T) {
	n := start(t, nil, "300")
	apis := twoAPIs(t, n)
	n.Worker(t, nil)
	n.Worker(t, nil)
	var told ledger.Ledger
	l := begin(t, apis, &told)
	l.Await(t, 200)
	for range 2 {
		n.MariaDB.Terminate(t)
		time.Sleep(outage / 2)
		n.MariaDB.Start(t)
		l.Await(t, 100)

		n.MariaDB.SetReadOnly(t, true)
		time.Sleep(outage)
		n.MariaDB.SetReadOnly(t, false)
		l.Await(t, 100)

		for range 2 { // each time with other commits under way
			n.MariaDB.Kill()
			n.MariaDB.Start(t)
			l.Await(t, 60)
		}

		n.MariaDB.Pause() // commits that were sent, and then their server dies
		time.Sleep(200 * time.Millisecond)
		n.MariaDB.Kill()
		n.MariaDB.Start(t)
		l.Await(t, 100)
	}
	tally := audit(t, n, l, &told)
	if tally.Broken > 0 {
		t.Errorf("%d requests were cut off, where 503 was to be answered", tally.Broken)
	}
	if tally.Unavailable == 0 {
		t.Error("no request was answered 503: the faults missed the load")
	}
}
