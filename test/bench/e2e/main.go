// Command e2e measures a node end to end on this machine: an API replica and a
// worker as processes of the built program, over a MariaDB that waits for the
// disk at every commit and a Redis, with the load beside them, all over
// loopback. `make bench-e2e` runs it; it ends by itself and leaves nothing
// behind.
//
// What is measured is the node alone. The proofs are made beforehand, with the
// node's own keys, and the requests lie ready as bytes; contracts are written
// straight to the database, and set back between repetitions to await an
// answer again (field.go). Every answer is looked at, and at the end the
// node's records must count as many verdicts as were told.
//
// Beside each figure stands what bounds it, measured in the same run: how many
// rows the same MariaDB updates where nobody does anything else (mariadb.go),
// and how many entries the same Redis takes and gives (redis.go).
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/driveshare/downstream-node/test/bench/report"
)

// part is a group of figures that can be measured by itself.
type part struct {
	name    string
	about   string
	measure func(*bench) []report.Figure
}

var parts = []part{
	{"machine", "SHA-256 and AES rates of one core", measureMachine},
	{"update", "bare batched UPDATE of the same MariaDB", measureUpdates},
	{"answers", "Merkle proofs in requests of 1000 and of 100", measureMerkle},
	{"swizzle", "Swizzle proofs in requests of 1000", measureSwizzle},
	{"singles", "requests with one proof, at 64 connections", measureSingles},
	{"handout", "contracts handed out to four farmers at once", measureHandOut},
	{"workers", "one, two and four workers with a fifth of a core each", measureWorkers},
	{"size", "10,000, 100,000 and 1,000,000 contracts in the records", measureSizes},
}

func main() {
	var opt options
	only := flag.String("only", "", "measure these `parts` alone, separated by commas: "+partNames())
	flag.BoolVar(&opt.quick, "quick", false, "a tenth of the load and three repetitions, for developing")
	flag.IntVar(&opt.workers, "workers", 1, "worker processes")
	flag.StringVar(&opt.profiles, "profiles", "", "`directory` to write a CPU profile of each process to, for each figure")
	document := flag.String("write", "", "Markdown `file` whose section to replace; a whole run alone may")
	flag.Parse()

	chosen, err := choose(*only)
	if err == nil && *document != "" && (opt.quick || len(chosen) < len(parts)) {
		err = fmt.Errorf("-write needs a whole run")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-e2e:", err)
		os.Exit(2)
	}
	os.Exit(run(opt, chosen, *document))
}

func run(opt options, chosen []part, document string) int {
	p := newProgram()
	defer p.cleanUp()
	failed := p.do(func() {
		var figures []report.Figure
		b := newBench(p, opt)
		for _, part := range chosen {
			figures = append(figures, part.measure(b)...)
		}
		b.progress.End()
		if err := b.publish(figures, document); err != nil {
			p.Fatal(err)
		}
	})
	if failed != "" {
		fmt.Fprintln(os.Stderr, "bench-e2e:", failed)
		return 1
	}
	return 0
}

// choose finds the parts that are named; all where none is.
func choose(only string) ([]part, error) {
	if only == "" {
		return parts, nil
	}
	var chosen []part
	for name := range strings.SplitSeq(only, ",") {
		at := slices.IndexFunc(parts, func(p part) bool { return p.name == name })
		if at < 0 {
			return nil, fmt.Errorf("no part %q; there are %s", name, partNames())
		}
		chosen = append(chosen, parts[at])
	}
	return chosen, nil
}

func partNames() string {
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.name
	}
	return strings.Join(names, ", ")
}
