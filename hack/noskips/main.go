// Command noskips reads the output of `go test -json` and prints it as `go test`
// does: a line for each package, and the output of failed tests. It fails if a test
// failed. It also fails if a test was skipped, unless the test's name is among the
// arguments. CI uses it, so that a skipped test does not count as passed.
//
//	go test -json ./... | go -C hack run ./noskips TestThatMayBeSkipped
//
// With -failed FILE, it writes to FILE a regular expression for `go test -run` that selects the
// failed tests. If something else failed too, for example a build, it writes no FILE.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

func main() {
	file := flag.String("failed", "", "`file` for the names of the failed tests")
	flag.Parse()
	problems, failed, err := watch(os.Stdin, os.Stdout, flag.Args())
	if err == nil && len(failed) > 0 && *file != "" {
		err = os.WriteFile(*file, []byte("^("+strings.Join(failed, "|")+")$"), 0o600)
	}
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

// watch prints the results of the run. It returns a text for each problem. If each problem is a
// package of which all tests ended and some failed, it also returns the names of those tests.
func watch(in io.Reader, out io.Writer, mayBeSkipped []string) (problems, failed []string, err error) {
	others := false               // whether there are other problems
	packages := map[string]bool{} // those with failed tests
	output := map[test]string{}   // output of the tests that have not ended
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
			others = printUnfinished(out, e.Package, output) || !packages[e.Package] || others
		case e.Action == "fail":
			packages[e.Package] = true
			if !strings.Contains(e.Test, "/") { // its subtests failed too
				failed = append(failed, e.Test)
			}
			fmt.Fprint(out, output[of])
			delete(output, of)
		case e.Action == "skip" && e.Test != "" && !slices.Contains(mayBeSkipped, e.Test):
			fmt.Fprint(out, output[of])
			problems = append(problems, e.Package+": "+e.Test+" was skipped")
			others = true
			delete(output, of)
		case e.Action == "pass", e.Action == "skip":
			passed = passed || e.Action == "pass"
			delete(output, of)
		}
	}
	if len(problems) == 0 && !passed {
		problems = append(problems, "no test ran")
	}
	if others {
		failed = nil
	}
	return problems, failed, lines.Err()
}

// printUnfinished prints the output of the tests that were running when their
// package ended, and reports whether there were any.
func printUnfinished(out io.Writer, pkg string, output map[test]string) (any bool) {
	for _, of := range slices.SortedFunc(maps.Keys(output), func(a, b test) int { return len(a.name) - len(b.name) }) {
		if of.pkg == pkg {
			fmt.Fprint(out, output[of])
			delete(output, of)
			any = true
		}
	}
	return any
}
