// Package ledger records the verdicts and the chunks that farmers receive from a
// node. It then compares them with the node's records.
//
// It checks that the node records each verdict exactly once. Every challenge with
// an "ok" is one heartbeat of the token, even if the node sent "ok" several times.
// Every "proof invalid" is one wrong proof. No two farmers get the same chunk.
// The sums that a score is made of contain no interval twice, and no wrong proof that was not sent.
package ledger

import (
	"fmt"
	"sync"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/test/deployment"
)

// Ledger records the verdicts and chunks that all farmers of a test received. It is
// safe for concurrent use. The zero value is an empty ledger.
type Ledger struct {
	mu       sync.Mutex
	accepted map[verdict]bool
	refused  map[verdict]bool
	files    map[string]bool // files that were handed out
	twice    int             // number of files that were handed out again
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

// Accepted records that the node sent the farmer an "ok" for a challenge of the
// file.
func (l *Ledger) Accepted(farmer, file, challenge string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	set(&l.accepted, verdict{farmer: farmer, file: file, challenge: challenge})
}

// Refused records that the node sent the farmer a "proof invalid" for the proof.
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

// Heartbeats returns the number of challenges for which the node sent the farmer an
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
	Verdicts           int // number of verdicts that farmers received
	Lost, Doubled      int
	HandedOutTwice     int
	ContractsDiffering int // contracts for which the records and the ledger have different numbers of heartbeats
	ChunksUnaccounted  int // number of chunks that are not in the inventory and have no contract
	SumsWrong          int // number of farmers with sums that their proofs cannot have made
}

// Clean reports whether the audit found no problem.
func (c Count) Clean() bool { return c == Count{Verdicts: c.Verdicts} }

func (c Count) String() string {
	line := fmt.Sprintf("verdicts lost %d, doubled %d, chunks handed out twice %d (%d verdicts)",
		c.Lost, c.Doubled, c.HandedOutTwice, c.Verdicts)
	if c.ContractsDiffering > 0 {
		line += fmt.Sprintf(", contracts that differ from the verdicts %d", c.ContractsDiffering)
	}
	if c.SumsWrong > 0 {
		line += fmt.Sprintf(", farmers with wrong sums %d", c.SumsWrong)
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
		if !possible(token) {
			count.SumsWrong++
		}
		delete(ok, id)
		delete(wrong, id)
	}
	for _, told := range []map[string]int64{ok, wrong} { // the tokens that are not in the records
		for _, n := range told {
			count.Lost += int(n)
		}
	}
	count.contracts(l.accepted, records)
	return count
}

// possible reports whether the token's proofs can have made its sums. A sum that counted a
// proof twice would soon have more slots than there were intervals.
func possible(token deployment.Token) bool {
	const rounding = 1e-6
	for _, track := range []node.Track{token.Evidence.Online, token.Evidence.Correct} {
		if track.Good > track.Weight+rounding || track.Weight > float64(token.Slots)+rounding {
			return false
		}
	}
	correct := token.Evidence.Correct
	return token.Wrong > 0 || correct.Good > correct.Weight-rounding
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
			c.ContractsDiffering++
		}
	}
	c.ChunksUnaccounted = records.Files - records.Waiting - len(records.Contracts)
}
