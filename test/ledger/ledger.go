// Package ledger records what a node tells farmers, without help from the node, and
// compares this with the node's records.
//
// It checks the rule that everything the node told a farmer is recorded exactly
// once. Every challenge with an "ok" is one heartbeat of the token, even if the
// node said "ok" several times. Every "proof invalid" is one wrong proof. No two
// farmers get the same chunk.
package ledger

import (
	"fmt"
	"sync"

	"github.com/driveshare/downstream-node/test/deployment"
)

// Ledger records what the node told all farmers of a test. It is safe for
// concurrent use. The zero value is an empty ledger.
type Ledger struct {
	mu       sync.Mutex
	accepted map[verdict]bool
	refused  map[verdict]bool
	files    map[string]bool // files that were handed out
	twice    int             // files that were handed out again
}

// verdict identifies a verdict. proof is empty for an accepted proof, because a
// challenge has at most one accepted proof.
type verdict struct{ farmer, file, challenge, proof string }

// Took records that a farmer got the file.
func (l *Ledger) Took(file string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.files[file] {
		l.twice++
	}
	set(&l.files, file)
}

// Accepted records that the node told the farmer "ok" for a challenge of the file.
func (l *Ledger) Accepted(farmer, file, challenge string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	set(&l.accepted, verdict{farmer: farmer, file: file, challenge: challenge})
}

// Refused records that the node told the farmer that the proof is wrong.
func (l *Ledger) Refused(farmer, file, challenge, proof string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	set(&l.refused, verdict{farmer, file, challenge, proof})
}

// set adds a key to a map, which may be nil.
func set[K comparable](m *map[K]bool, key K) {
	if *m == nil {
		*m = map[K]bool{}
	}
	(*m)[key] = true
}

// Heartbeats returns the number of challenges for which the node told the farmer
// "ok".
func (l *Ledger) Heartbeats(farmer string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return byFarmer(l.accepted)[farmer]
}

func byFarmer(verdicts map[verdict]bool) map[string]int64 {
	count := map[string]int64{}
	for v := range verdicts {
		count[v.farmer]++
	}
	return count
}

// Count is the result of an audit.
type Count struct {
	Verdicts          int // number of verdicts that the node told farmers
	Lost, Doubled     int
	HandedOutTwice    int
	ContractsAtOdds   int // contracts whose recorded number of heartbeats differs from what the node told the farmer
	ChunksUnaccounted int // chunks that do not wait in the inventory and have no contract
}

// Clean reports whether the audit found no problem.
func (c Count) Clean() bool { return c == Count{Verdicts: c.Verdicts} }

func (c Count) String() string {
	line := fmt.Sprintf("verdicts lost %d, doubled %d, chunks handed out twice %d (%d verdicts)",
		c.Lost, c.Doubled, c.HandedOutTwice, c.Verdicts)
	if c.ContractsAtOdds > 0 {
		line += fmt.Sprintf(", contracts at odds with what was told %d", c.ContractsAtOdds)
	}
	if c.ChunksUnaccounted != 0 {
		line += fmt.Sprintf(", chunks unaccounted for %d", c.ChunksUnaccounted)
	}
	return line
}

// Audit compares the ledger with the records. No proof may be in flight.
func (l *Ledger) Audit(records deployment.Records) Count {
	l.mu.Lock()
	defer l.mu.Unlock()
	count := Count{Verdicts: len(l.accepted) + len(l.refused), HandedOutTwice: l.twice}
	ok, wrong := byFarmer(l.accepted), byFarmer(l.refused)
	for id, token := range records.Tokens {
		count.compare(ok[id], token.Heartbeats)
		count.compare(wrong[id], token.Wrong)
		delete(ok, id)
		delete(wrong, id)
	}
	for _, told := range []map[string]int64{ok, wrong} { // only tokens that the records lack remain
		for _, n := range told {
			count.Lost += int(n)
		}
	}
	count.contracts(l.accepted, records)
	return count
}

func (c *Count) compare(told, recorded int64) {
	c.Lost += int(max(told-recorded, 0))
	c.Doubled += int(max(recorded-told, 0))
}

// contracts compares each contract. The sum of a farmer's contracts would not show
// that one contract lost a verdict and another contract counted a verdict twice.
func (c *Count) contracts(accepted map[verdict]bool, records deployment.Records) {
	type contract struct{ farmer, file string }
	told := map[contract]int64{}
	for v := range accepted {
		told[contract{v.farmer, v.file}]++
	}
	files := map[string]bool{}
	for _, r := range records.Contracts {
		if files[r.File] {
			c.HandedOutTwice++
		}
		files[r.File] = true
		if told[contract{r.Farmer, r.File}] != r.Heartbeats {
			c.ContractsAtOdds++
		}
	}
	c.ChunksUnaccounted = records.Files - records.Waiting - len(records.Contracts)
}
