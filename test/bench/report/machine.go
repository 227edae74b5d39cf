package report

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Load says how busy the machine is, with whatever it does beside the bench.
// It is asked before the bench begins.
func Load() string {
	text, err := os.ReadFile("/proc/loadavg")
	minute, _, _ := strings.Cut(string(text), " ")
	if err != nil {
		return "unknown load before the start"
	}
	return "load average before the start " + minute
}

// Machine describes where and when figures are from, a line each; load is what
// Load said.
func Machine(load string) []string {
	return []string{
		fmt.Sprintf("%d × %s", runtime.NumCPU(), processor()),
		fmt.Sprintf("%s/%s %s, %s", runtime.GOOS, runtime.GOARCH, output("uname", "-r"), runtime.Version()),
		fmt.Sprintf("%s, commit %s", time.Now().UTC().Format(time.DateOnly), output("git", "describe", "--always", "--dirty")),
		load,
	}
}

// processor is the model, as Linux knows it.
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

// output is the first line that a command prints.
func output(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}
