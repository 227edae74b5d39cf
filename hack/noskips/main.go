// Command noskips reads the output of `go test -json` and prints it as `go test`
// does: a line for each package, and the output of failed tests. It fails if a test
// failed. It also fails if a test was skipped, unless the test's name is among the
// arguments. CI uses it, so that a skipped test does not count as passed.
//
//	go test -json ./... | go -C hack run ./noskips TestThatMayBeSkipped
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

// event is a line of `go test -json`; see `go doc test2json`.
type event struct {
	Action, Package, Test, Output string
}

// maxLine is the maximum length of an event, which holds one line of output.
const maxLine = 16 << 20

// test identifies a test.
type test struct{ pkg, name string }

// watch prints the results of the run. It returns a text for each problem.
func watch(in io.Reader, out io.Writer, mayBeSkipped []string) (problems []string, err error) {
	output := map[test]string{} // output of the tests that have not ended
	passed := false
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var e event
		notEvent := json.Unmarshal(lines.Bytes(), &e) != nil
		of := test{e.Package, e.Test}
		switch {
		case notEvent: // written before the tests ran
			fmt.Fprintln(out, lines.Text())
		case e.Action == "build-output", e.Action == "output" && e.Test == "" && e.Output != "PASS\n":
			fmt.Fprint(out, e.Output)
		case e.Action == "output":
			output[of] += e.Output
		case e.Action == "fail" && e.Test == "":
			problems = append(problems, e.Package+" failed")
			printUnfinished(out, e.Package, output)
		case e.Action == "fail":
			fmt.Fprint(out, output[of])
			delete(output, of)
		case e.Action == "skip" && e.Test != "" && !slices.Contains(mayBeSkipped, e.Test):
			fmt.Fprint(out, output[of])
			problems = append(problems, e.Package+": "+e.Test+" was skipped")
			delete(output, of)
		case e.Action == "pass", e.Action == "skip":
			passed = passed || e.Action == "pass"
			delete(output, of)
		}
	}
	if len(problems) == 0 && !passed {
		problems = append(problems, "no test ran")
	}
	return problems, lines.Err()
}

// printUnfinished prints the output of the tests that were running when their
// package ended.
func printUnfinished(out io.Writer, pkg string, output map[test]string) {
	for _, of := range slices.SortedFunc(maps.Keys(output), func(a, b test) int { return len(a.name) - len(b.name) }) {
		if of.pkg == pkg {
			fmt.Fprint(out, output[of])
			delete(output, of)
		}
	}
}
