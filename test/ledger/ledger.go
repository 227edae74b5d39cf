// Package ledger is the farmers' own account of what a node told them, kept
// without the node's help, and what comes of holding it against the node's
// records.
//
// The rule that it checks: what a farmer was told is recorded, exactly once.
// Every "ok" to a challenge is one heartbeat of the token, however often it was
// said; every "proof invalid" is one wrong answer; no chunk goes to two.
package ledger

import (
	"fmt"
	"sync"

	"github.com/driveshare/downstream-node/test/deployment"
)

// Ledger is the account of all farmers of a test. It is safe for concurrent
// use; the zero value is empty.
type Ledger struct {
	mu       sync.Mutex
	accepted map[answer]bool
	refused  map[answer]bool
	holders  map[string]string // by file hash: the farmer that was given it
	twice    int               // files that were given again
}

// answer is what one verdict is about. proof is empty for an accepted one:
// there is one for each challenge.
type answer struct{ farmer, file, challenge, proof string }

// Took notes that the farmer was handed the file.
func (l *Ledger) Took(farmer, file string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holders == nil {
		l.holders = map[string]string{}
	}
	if _, ok := l.holders[file]; ok {
		l.twice++
	}
	l.holders[file] = farmer
}

// Accepted notes that the farmer was told "ok" for a challenge of the file.
func (l *Ledger) Accepted(farmer, file, challenge string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.accepted == nil {
		l.accepted = map[answer]bool{}
	}
	l.accepted[answer{farmer: farmer, file: file, challenge: challenge}] = true
}

// Refused notes that the farmer was told that the proof is wrong.
func (l *Ledger) Refused(farmer, file, challenge, proof string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refused == nil {
		l.refused = map[answer]bool{}
	}
	l.refused[answer{farmer, file, challenge, proof}] = true
}

// Heartbeats is how many challenges the farmer was told "ok" for.
func (l *Ledger) Heartbeats(farmer string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return byFarmer(l.accepted)[farmer]
}

func byFarmer(answers map[answer]bool) map[string]int64 {
	count := map[string]int64{}
	for a := range answers {
		count[a.farmer]++
	}
	return count
}

// Count is what an audit found.
type Count struct {
	Verdicts          int // told to farmers
	Lost, Doubled     int
	HandedOutTwice    int
	ContractsAtOdds   int // the contract's record has another number of heartbeats than was told
	ChunksUnaccounted int // neither waiting nor under contract
}

// Clean says whether nothing was found.
func (c Count) Clean() bool {
	return c.Lost == 0 && c.Doubled == 0 && c.HandedOutTwice == 0 && c.ContractsAtOdds == 0 && c.ChunksUnaccounted == 0
}

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

// Audit holds the ledger against the records, when no answer is under way.
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
	for _, told := range []map[string]int64{ok, wrong} { // of tokens that are not there
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

// contracts looks at each contract by itself: a verdict that is lost at one and
// doubled at another leaves the farmer's sum as it was.
func (c *Count) contracts(accepted map[answer]bool, records deployment.Records) {
	type contract struct{ farmer, file string }
	told := map[contract]int64{}
	for a := range accepted {
		told[contract{a.farmer, a.file}]++
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
