package report

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Machine describes where and when figures are from, a line each.
func Machine() []string {
	return []string{
		fmt.Sprintf("%d × %s", runtime.NumCPU(), processor()),
		fmt.Sprintf("%s/%s %s, %s", runtime.GOOS, runtime.GOARCH, output("uname", "-r"), runtime.Version()),
		fmt.Sprintf("%s, commit %s", time.Now().UTC().Format(time.DateOnly), output("git", "describe", "--always", "--dirty")),
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
