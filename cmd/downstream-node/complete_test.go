package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/internal/program"
	"github.com/driveshare/downstream-node/internal/testenv"
)

// TestCompletion requests completions as a shell's script does.
func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		line string
		want []string
	}{
		{"heartbeat new --type ", []string{"Merkle", "Swizzle"}},
		{"stan", []string{"standalone"}},
		{"api --config ", []string{"yaml", "yml"}},
		{"backup write --config ", []string{"yaml", "yml"}},
	} {
		var out bytes.Buffer
		root := newRootCommand()
		root.SetOut(&out)
		root.SetArgs(append([]string{"__completeNoDesc"}, strings.Split(test.line, " ")...))
		if err := root.Execute(); err != nil {
			t.Fatalf("%s: %v", test.line, err)
		}
		got := strings.Fields(out.String())
		if len(got) != len(test.want)+1 || strings.Join(got[:len(test.want)], " ") != strings.Join(test.want, " ") {
			t.Errorf("%s: offers %v, want %v", test.line, got, test.want)
		}
	}
}

// TestUsageErrorsPointToHelp checks that an error about arguments names the help.
func TestUsageErrorsPointToHelp(t *testing.T) {
	t.Parallel()
	for line, says := range map[string]string{
		"standalone --dmo 3":               "unknown flag: --dmo",
		"standalone --demo x":              `--demo "x": must be a whole number;`,
		"maintenance add --for 2":          `--for "2": must be a duration such as 90s, 5m or 1h30m;`,
		"farmers list --online=maybe":      `--online "maybe": must be true or false;`,
		"farm":                             "the command is `downstream-node farm URL --address",
		"farm http://localhost --config x": "unknown flag: --config",
		"version --config x":               "unknown flag: --config",
		"heartbeat new --config x":         "unknown flag: --config",
		"chunks generate":                  "wrong number of arguments",
		"heartbeat new --typ Merkle":       "unknown flag: --typ",
		"completion bash x":                "unknown command",
	} {
		root := newRootCommand()
		root.SetArgs(strings.Fields(line))
		err := root.Execute()
		if err == nil || !strings.Contains(err.Error(), "--help") || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q and a pointer to the help", line, err, says)
		} else if strings.Contains(err.Error(), "strconv") {
			t.Errorf("%s: the message names a function of Go: %v", line, err)
		}
	}
}

// TestGroupsNeedASubcommand checks that each command that only groups others prints its help
// to standard error and exits with 2.
func TestGroupsNeedASubcommand(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"", "chunks", "queue", "queue dead", "heartbeat", "backup", "completion"} {
		var out, errs bytes.Buffer
		root := newRootCommand()
		root.SilenceUsage, root.SilenceErrors = true, true
		root.SetOut(&out)
		root.SetErr(&errs)
		root.SetArgs(strings.Fields(line))
		status := program.ExitStatus(root, root.Execute(), &errs)
		if status != 2 || out.Len() > 0 || !strings.Contains(errs.String(), "Available Commands") || strings.HasSuffix(strings.TrimSpace(errs.String()), ":") {
			t.Errorf("%q: status %d, want 2; standard output %q, standard error %q", line, status, &out, &errs)
		}
	}
}

func TestVersionFlag(t *testing.T) {
	t.Parallel()
	var printed []string
	for _, arg := range []string{"--version", "version"} {
		var out bytes.Buffer
		root := newRootCommand()
		root.SetOut(&out)
		root.SetArgs([]string{arg})
		testenv.Must(t, root.Execute())
		printed = append(printed, out.String())
	}
	if printed[0] != printed[1] || !strings.HasPrefix(printed[0], "downstream-node ") {
		t.Errorf("--version and version print %q", printed)
	}
}
