package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/test/bench/report"
	"github.com/driveshare/downstream-node/test/scale"
)

// measureSizes measures nodes with records of each size. The targets apply to the
// largest size. The other sizes show how the cost grows.
func measureSizes(b *bench) []report.Figure {
	if _, err := cpuTime(os.Getpid()); err != nil {
		b.Log("the sizes are not measured, because the processor time of a process cannot be read here:", err)
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
	n.setWorkers(b, b.workers) // a worker registers the node's keys in the records
	b.progress.Step("writing %d farmers and %d contracts", size.Farmers, size.Contracts)
	key, keyID := n.key(b, heartbeat.Merkle)
	terms, err := scale.NewTerms(b.ctx, key, keyID, interval, time.Now())
	b.must(err)
	b.must(scale.Fill(b.ctx, n.db, size, terms, nil))
	// A request for challenges fails if one of the contracts has expired within the last seconds.
	later := time.Now().Add(interval).UnixMicro()
	n.exec(b, "UPDATE contracts SET due = ?, expiry = ? WHERE token_id = 1 AND live", later, later)
	n.api = n.API(b, nil)

	list, challenges := n.measureList(b, title), n.measureChallenges(b, title, size)
	idle := n.measureIdle(b, title)
	due := n.measureDueChallenges(b, title, size)
	// The proofs belong to additional farmers.
	files := b.encode(n, heartbeat.Merkle, 2*contractsEach, fileSize)
	answers := newFarm(b, n, heartbeat.Merkle, files, b.scaled(40), contractsEach).measureBatches(title, 1000)
	handOut := newInventory(b, n, heartbeat.Swizzle, 0).measure(title + "hand-outs, 10 a request, 4 farmers")
	// Every contract becomes the first copy of its file.
	n.exec(b, "INSERT INTO contents (id, hash, seed, size, key_id, live, waiting, lost) SELECT id, hash, seed, size, key_id, 1, 0, 0 FROM files WHERE id <= ?", size.Contracts)
	n.exec(b, "UPDATE files SET content_id = id WHERE id <= ?", size.Contracts)
	copies := newInventory(b, n, heartbeat.Merkle, 3).measure(title + "hand-outs, 10 a request, 4 farmers, redundancy 3")
	memory := report.New(title+"peak memory of the API replica", "MB", float64(n.api.PeakMemory(b))/1e6)
	if size == scale.Large {
		list, challenges, due = list.AtMost(10), challenges.AtMost(0.5), due.AtMost(0.5)
		idle[0], memory = idle[0].AtMost(5), memory.AtMost(300)
	}
	return append([]report.Figure{list, challenges, due, answers, handOut, copies, memory}, idle...)
}

// stop stops the node and its servers.
func (n *running) stop(b *bench) {
	n.setWorkers(b, 0)
	n.api.Terminate(b)
	n.db.Close()
	n.MariaDB.Terminate(b)
	n.Redis.Terminate(b)
}

// measureList requests the first page of the status list over a few connections, as
// a status page does.
func (n *running) measureList(b *bench, title string) report.Figure {
	const path, connections, each = "/status/list/by/d/uptime/25", 4, 500
	requests := make([][]request, connections)
	for i := range requests {
		for range each {
			requests[i] = append(requests[i], get(path))
		}
	}
	return b.figure(title+path+", 99 % within", "ms", func() float64 {
		return b.send(n.api.URL, connections, requests, counts(`"ip_hash"`, 25)).percentile(99)
	})
}

// counts returns a function that checks that the body of a response contains a text
// n times.
func counts(text string, n int) func(int, []byte) error {
	return func(_ int, body []byte) error {
		if got := bytes.Count(body, []byte(text)); got != n {
			return fmt.Errorf("the response has %s %d times, not %d: %.200s", text, got, n, body)
		}
		return nil
	}
}

// measureChallenges requests all challenges of the farmer that has the most
// contracts.
func (n *running) measureChallenges(b *bench, title string, size scale.Size) report.Figure {
	return b.figure(title+"challenges of a farmer with "+report.Number(float64(size.Largest)), "s", func() float64 {
		return n.requestChallenges(b, `"file_hash"`, size.Largest)
	})
}

// measureDueChallenges does what measureChallenges does, but it first makes every
// live contract answered and due, as after a batch of proofs. Each contract gets a
// new challenge.
func (n *running) measureDueChallenges(b *bench, title string, size scale.Size) report.Figure {
	const farmer = 1 // the id of the first farmer in the records
	return b.figure(title+"the same, all of them due", "s", func() float64 {
		due := time.Now().Add(-time.Second)
		contracts := n.exec(b, "UPDATE contracts SET version = version + 1, answered = 1, accepted = ?, due = ?,"+
			" expiry = ? WHERE token_id = ? AND live", unanswered, due.UnixMicro(), due.Add(interval).UnixMicro(), farmer)
		return n.requestChallenges(b, `"answered":false`, int(contracts))
	})
}

// requestChallenges requests all challenges of the farmer that has the most
// contracts. It returns the time in seconds. The response must contain text the
// given number of times.
func (n *running) requestChallenges(b *bench, text string, times int) float64 {
	requests := [][]request{{get("/challenge/" + scale.Token(0).Hex())}}
	return b.send(n.api.URL, 1, requests, counts(text, times)).all.Seconds()
}

// measureIdle measures the node without requests. The node then only sweeps
// contracts and updates the status list. MariaDB has its own figure, because it
// also does housekeeping after a load.
func (n *running) measureIdle(b *bench, title string) []report.Figure {
	settle, watch := 20*time.Second, 20*time.Second
	if b.quick {
		settle, watch = 5*time.Second, 5*time.Second
	}
	b.progress.Step("%swaiting for the node to settle", title)
	time.Sleep(settle)
	b.progress.Step("%swatching it", title)
	processes, database := append(n.workerPIDs(), n.api.PID()), n.databasePID(b)
	nodeBefore, databaseBefore := b.cpu(processes...), b.cpu(database)
	time.Sleep(watch)
	share := func(used time.Duration) float64 { return 100 * used.Seconds() / watch.Seconds() }
	return []report.Figure{
		report.New(title+"sweeping and the status list, API and worker", "% of a core", share(b.cpu(processes...)-nodeBefore)),
		report.New("… MariaDB meanwhile", "% of a core", share(b.cpu(database)-databaseBefore)),
	}
}

// cpu returns the processor time that the processes have used.
func (b *bench) cpu(pids ...int) (sum time.Duration) {
	for _, pid := range pids {
		used, err := cpuTime(pid)
		b.must(err)
		sum += used
	}
	return sum
}

// databasePID returns the id of MariaDB's process.
func (n *running) databasePID(b *bench) int {
	var path string
	n.query(b, []any{&path}, "SELECT @@pid_file")
	text, err := os.ReadFile(path)
	b.must(err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	b.must(err)
	return pid
}
