package main

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/test/bench/report"
	"github.com/driveshare/downstream-node/test/scale"
)

// measureSizes measures nodes with records of each size: the last one is what
// the limits are for, the others show how the cost grows.
func measureSizes(b *bench) []report.Figure {
	if _, err := cpuTime(os.Getpid()); err != nil {
		b.Log("sizes are not measured: what a process uses cannot be read here:", err)
		return []report.Figure{report.New("1,000,000 contracts", "ms").AtMost(10)}
	}
	var figures []report.Figure
	for _, size := range []scale.Size{scale.Small, scale.Medium, scale.Large} {
		if b.quick && size == scale.Large {
			break
		}
		figures = append(figures, b.measureSize(size)...)
	}
	return figures
}

func (b *bench) measureSize(size scale.Size) []report.Figure {
	title := report.Number(float64(size.Contracts)) + " contracts, "
	n := b.deploy()
	defer n.stop(b)
	n.employ(b, b.workers) // which makes the node's keys known to its records
	b.fill(n, size)
	n.api = n.API(b, nil)

	list, challenges := n.measureList(b, title), n.measureChallenges(b, title, size)
	idle := n.measureIdle(b, title)
	due := n.measureDueChallenges(b, title, size)
	answers := n.measureAnswersAmong(b, title)
	handOut := newInventory(b, n, heartbeat.Swizzle).measure(title + "hand-outs, 10 a request, 4 farmers")
	memory := report.New(title+"peak memory of the API replica", "MB", float64(n.api.PeakMemory(b))/1e6)
	if size == scale.Large {
		list, challenges, due = list.AtMost(10), challenges.AtMost(0.5), due.AtMost(0.5)
		idle[0], memory = idle[0].AtMost(5), memory.AtMost(300)
	}
	return append([]report.Figure{list, challenges, due, answers, handOut, memory}, idle...)
}

// stop ends a node that was measured, to make room for the next.
func (n *running) stop(b *bench) {
	n.employ(b, 0)
	n.api.Terminate(b)
	n.db.Close()
	n.MariaDB.Terminate(b)
	n.Redis.Terminate(b)
}

// fill writes the records of that size.
func (b *bench) fill(n *running, size scale.Size) {
	b.progress.Step("writing %d farmers and %d contracts", size.Farmers, size.Contracts)
	key, id := n.key(b, heartbeat.Merkle)
	terms, err := scale.NewTerms(b.ctx, key, id, interval, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	if err := scale.Fill(b.ctx, n.db, size, terms, nil); err != nil {
		b.Fatal(err)
	}
	for table, id := range map[string]*int64{"tokens": &n.ids.token, "files": &n.ids.file, "contracts": &n.ids.contract} {
		if err := n.db.QueryRowContext(b.ctx, "SELECT MAX(id) FROM "+table).Scan(id); err != nil {
			b.Fatal(err)
		}
	}
}

// measureList asks for the first page of the status list, as a status page
// does, from a few connections at once.
func (n *running) measureList(b *bench, title string) report.Figure {
	const path, connections, each = "/status/list/by/d/uptime/25", 4, 500
	requests := make([][]request, connections)
	for i := range requests {
		for range each {
			requests[i] = append(requests[i], get(path))
		}
	}
	name := title + path + ", 99 % within"
	return report.New(name, "ms", b.repeat(name, func() float64 {
		r := b.pour(n.api.URL, connections, requests, func(_, _ int, answer []byte) error {
			if got := bytes.Count(answer, []byte(`"ip_hash"`)); got != 25 {
				return fmt.Errorf("a page of %d farmers: %.200s", got, answer)
			}
			return nil
		})
		return r.percentile(99)
	})...)
}

// measureChallenges asks for all challenges of the farmer with the most
// contracts.
func (n *running) measureChallenges(b *bench, title string, size scale.Size) report.Figure {
	name := title + "challenges of a farmer with " + report.Number(float64(size.Largest))
	return report.New(name, "s", b.repeat(name, func() float64 { return n.askForAll(b, `"file_hash"`, size.Largest) })...)
}

// measureDueChallenges asks the same where every contract that lives is
// answered and due, as after a batch of answers: each gets a new challenge.
func (n *running) measureDueChallenges(b *bench, title string, size scale.Size) report.Figure {
	const farmer = 1 // the first one's id in the records
	name := title + "the same, all of them due"
	return report.New(name, "s", b.repeat(name, func() float64 {
		due := time.Now().Add(-time.Second)
		result, err := n.db.ExecContext(b.ctx, "UPDATE contracts SET version = version + 1, answered = 1, accepted = ?, due = ?,"+
			" expiry = ? WHERE token_id = ? AND live", make([]byte, len(node.Digest{})), due.UnixMicro(), due.Add(interval).UnixMicro(), farmer)
		if err != nil {
			b.Fatal(err)
		}
		contracts, err := result.RowsAffected()
		if err != nil {
			b.Fatal(err)
		}
		return n.askForAll(b, `"answered":false`, int(contracts))
	})...)
}

// askForAll asks for all challenges of the farmer with the most contracts,
// whose answer must hold a text so often, and gives the seconds that it took.
func (n *running) askForAll(b *bench, text string, times int) float64 {
	requests := [][]request{{get("/challenge/" + scale.Token(0).Hex())}}
	r := b.pour(n.api.URL, 1, requests, func(_, _ int, answer []byte) error {
		if got := bytes.Count(answer, []byte(text)); got != times {
			return fmt.Errorf("%s %d times, not %d", text, got, times)
		}
		return nil
	})
	return r.took.Seconds()
}

// measureIdle is what the node costs when nobody asks it anything: sweeping,
// and keeping the status list up to date. The database's part is told apart,
// since its own housekeeping after a load is in it.
func (n *running) measureIdle(b *bench, title string) []report.Figure {
	settle, watch := 20*time.Second, 20*time.Second
	if b.quick {
		settle, watch = 5*time.Second, 5*time.Second
	}
	b.progress.Step("%swaiting for the node to settle", title)
	time.Sleep(settle)
	b.progress.Step("%swatching it", title)
	processes := append(n.workerPIDs(), n.api.PID())
	node, database := b.cpu(processes...), b.cpu(n.databasePID(b))
	time.Sleep(watch)
	share := func(before, after time.Duration) float64 { return 100 * (after - before).Seconds() / watch.Seconds() }
	return []report.Figure{
		report.New(title+"sweeping and the status list, API and worker", "% of a core", share(node, b.cpu(processes...))),
		report.New("… MariaDB meanwhile", "% of a core", share(database, b.cpu(n.databasePID(b)))),
	}
}

// cpu is the processor's time that processes have had.
func (b *bench) cpu(pids ...int) (sum time.Duration) {
	for _, pid := range pids {
		used, err := cpuTime(pid)
		if err != nil {
			b.Fatal(err)
		}
		sum += used
	}
	return sum
}

// databasePID is MariaDB's process.
func (n *running) databasePID(b *bench) int {
	var path sql.NullString
	if err := n.db.QueryRowContext(b.ctx, "SELECT @@pid_file").Scan(&path); err != nil {
		b.Fatal(err)
	}
	text, err := os.ReadFile(path.String)
	if err != nil {
		b.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		b.Fatal(err)
	}
	return pid
}

// measureAnswersAmong answers contracts of farmers that come on top.
func (n *running) measureAnswersAmong(b *bench, title string) report.Figure {
	const farmers, batch = 40, 1000
	f := newField(b, n, heartbeat.Merkle, b.encode(n, heartbeat.Merkle, 2*contractsEach, fileSize), b.scaled(farmers), contractsEach)
	name := title + "Merkle answers, 1000 a request"
	requests := f.batches(batch)
	samples := b.repeat(name, func() float64 { return f.answer(requests, batch, batchConnections) })
	f.check()
	return report.New(name, "proofs/s", samples...)
}
