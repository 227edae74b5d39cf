// Command bench measures a node on this machine and prints the figures in one
// table, beside those of the old Python node. `make bench` runs it; it ends by
// itself, in less than three minutes.
//
// Two kinds of figures: the schemes alone (package heartbeat, a file of 32 MiB
// of which a challenge covers 1 %), and the node end to end, one API replica
// and one worker as processes over a durable MariaDB and a Redis, all of them
// and the load on this machine. Proofs are made before the clock starts.
package main

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

func main() {
	testing.Init() // for testing.Benchmark
	profiles := flag.String("profiles", "", "directory to write CPU profiles of API and worker to, one for each kind of batch")
	flag.Parse()
	os.Exit(run(*profiles))
}

func run(profiles string) int {
	p := newProgram()
	defer p.cleanUp()
	failed := p.do(func() {
		t := table{machine: machine()}
		t.add(schemeFigures(p)...)
		t.add(nodeFigures(p, profiles)...)
		t.print(os.Stdout)
	})
	if failed != "" {
		fmt.Fprintln(os.Stderr, "bench:", failed)
		return 1
	}
	return 0
}
