// Command e2e measures a node end to end on this machine. An API replica and a
// worker run as processes of the built program, over a MariaDB that flushes to disk
// at every commit, and a Redis. The load runs beside them, over loopback. `make
// bench-e2e` runs this command. At the end, the command stops its processes and
// deletes its temporary files.
//
// It measures only the node. It makes the proofs and requests in advance, with the
// node's own heartbeat keys. It writes contracts directly to the database, and
// makes them unanswered again between repetitions (farm.go). It checks every
// response. At the end, the node's records must have the same number of verdicts as
// the farmers received.
//
// Most figures are shown beside their limit, which is measured in the same run. One
// limit is the number of rows per second that the same MariaDB updates if it does
// no other work. The other limit is the number of entries per second that the same
// Redis adds and reads (bounds.go).
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/driveshare/downstream-node/test/bench/report"
)

// part is a group of figures that can be measured without the other groups.
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
	only := flag.String("only", "", "measure only these `parts`, separated by commas: "+partNames())
	flag.BoolVar(&opt.quick, "quick", false, "a tenth of the load and three repetitions, for development")
	flag.IntVar(&opt.workers, "workers", 1, "worker processes")
	flag.StringVar(&opt.profiles, "profiles", "", "`directory` for CPU profiles of each process, for each figure")
	document := flag.String("write", "", "Markdown `file` whose section to replace; needs a whole run")
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
		b := &bench{program: p, options: opt, progress: report.NewProgress(), load: report.Load()}
		for _, part := range chosen {
			figures = append(figures, part.measure(b)...)
		}
		b.progress.End()
		p.must(b.publish(figures, document))
	})
	if failed != "" {
		fmt.Fprintln(os.Stderr, "bench-e2e:", failed)
		return 1
	}
	return 0
}

// choose returns the named parts. If only is empty, it returns all parts.
func choose(only string) ([]part, error) {
	if only == "" {
		return parts, nil
	}
	var chosen []part
	for name := range strings.SplitSeq(only, ",") {
		at := slices.IndexFunc(parts, func(p part) bool { return p.name == name })
		if at < 0 {
			return nil, fmt.Errorf("no part %q; the parts are %s", name, partNames())
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
