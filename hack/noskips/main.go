package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
)

func main() {
	problems, err := watch(os.Stdin, os.Stdout, os.Args[1:])
	if err != nil {
		problems = append(problems, err.Error())
	}
	for _, problem := range problems {
		fmt.Fprintln(os.Stderr, "noskips:", problem)
	}
	if len(problems) > 0 {
		os.Exit(1)
	}
}

// event is a line of go test -json, see `go doc test2json`.
type event struct {
	Action, Package, Test, Output string
}

// maxLine bounds an event, which is a line that a test said.
const maxLine = 16 << 20

// test names one.
type test struct{ pkg, name string }

// watch prints the run, and gives what is wrong with it.
func watch(in io.Reader, out io.Writer, mayBeSkipped []string) (problems []string, err error) {
	said := map[test]string{} // by tests that have not ended
	passed := false
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var e event
		notOurs := json.Unmarshal(lines.Bytes(), &e) != nil
		of := test{e.Package, e.Test}
		switch {
		case notOurs: // of what went before the tests
			fmt.Fprintln(out, lines.Text())
		case e.Action == "build-output", e.Action == "output" && e.Test == "" && e.Output != "PASS\n":
			fmt.Fprint(out, e.Output)
		case e.Action == "output":
			said[of] += e.Output
		case e.Action == "fail" && e.Test == "":
			problems = append(problems, e.Package+" failed")
			printUnfinished(out, e.Package, said)
		case e.Action == "fail":
			fmt.Fprint(out, said[of])
			delete(said, of)
		case e.Action == "skip" && e.Test != "" && !slices.Contains(mayBeSkipped, e.Test):
			fmt.Fprint(out, said[of])
			problems = append(problems, e.Package+": "+e.Test+" was skipped")
			delete(said, of)
		case e.Action == "pass", e.Action == "skip":
			passed = passed || e.Action == "pass"
			delete(said, of)
		}
	}
	if len(problems) == 0 && !passed {
		problems = append(problems, "no test ran")
	}
	return problems, lines.Err()
}

// printUnfinished prints what tests said that their package's end cut short.
func printUnfinished(out io.Writer, pkg string, said map[test]string) {
	for _, of := range slices.SortedFunc(maps.Keys(said), func(a, b test) int { return len(a.name) - len(b.name) }) {
		if of.pkg == pkg {
			fmt.Fprint(out, said[of])
			delete(said, of)
		}
	}
}
