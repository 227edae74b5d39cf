package report

import (
	"fmt"
	"os"
	"strings"
)

// WriteSection replaces the program's own section of a Markdown document, the
// lines between its two marks, and leaves the rest as it is.
func WriteSection(path, program, section string) error {
	document, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	begin, end := mark(program, "begin"), mark(program, "end")
	before, rest, found := strings.Cut(string(document), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return fmt.Errorf("%s has no section between %s and %s", path, begin, end)
	}
	return os.WriteFile(path, []byte(before+begin+"\n\n"+section+"\n"+end+after), 0o644)
}

func mark(program, edge string) string { return "<!-- " + program + ": " + edge + " -->" }
