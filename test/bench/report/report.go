package report

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

var header = []string{"figure", "median", "least – most", "beside it, in the same run", "ratio", "wanted"}

// Print writes the figures as a Markdown table whose columns are aligned.
func Print(w io.Writer, figures []Figure) {
	rows := [][]string{header}
	for _, f := range figures {
		rows = append(rows, []string{f.Name, f.value(), f.spread(), f.Limit, f.ratio(), f.targets()})
	}
	widths := make([]int, len(header))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for i, row := range rows {
		for column, cell := range row {
			fmt.Fprintf(w, "| %-*s ", widths[column], cell)
		}
		fmt.Fprintln(w, "|")
		if i == 0 {
			for _, width := range widths {
				fmt.Fprint(w, "|", strings.Repeat("-", width+2))
			}
			fmt.Fprintln(w, "|")
		}
	}
}

// WriteSection replaces the program's section of a Markdown document: the lines
// between its two marks.
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

// Load returns the load of the machine. Call it before the bench begins, so that
// the bench does not add to the load.
func Load() string {
	text, err := os.ReadFile("/proc/loadavg")
	minute, _, _ := strings.Cut(string(text), " ")
	if err != nil {
		return "unknown load before the start"
	}
	return "load average before the start " + minute
}

// Machine describes the machine, the time and the commit of a run. load is the
// result of Load.
func Machine(load string) []string {
	return []string{
		fmt.Sprintf("%d × %s", runtime.NumCPU(), processor()),
		fmt.Sprintf("%s/%s %s, %s", runtime.GOOS, runtime.GOARCH, output("uname", "-r"), runtime.Version()),
		fmt.Sprintf("%s, commit %s", time.Now().UTC().Format(time.DateOnly), output("git", "describe", "--always", "--dirty")),
		load,
	}
}

// processor returns the processor's model, as Linux reports it.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// output returns the first line that a command prints.
func output(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}

// Progress shows the current step on standard error. On a terminal, each step
// replaces the previous step.
type Progress struct{ bar *progressbar.ProgressBar }

func NewProgress() Progress {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return Progress{}
	}
	return Progress{progressbar.NewOptions(-1,
		progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionSpinnerType(14),
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionSetRenderBlankState(true),
		progressbar.OptionClearOnFinish())}
}

// Step shows the current step.
func (p Progress) Step(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if p.bar == nil {
		fmt.Fprintln(os.Stderr, time.Now().Format(time.TimeOnly), text)
		return
	}
	p.bar.Describe(text)
	_ = p.bar.RenderBlank() // a bar that cannot be drawn is not a failure
}

// End clears the line of the current step.
func (p Progress) End() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
