package main

import (
	"bytes"
	"strings"
	"testing"
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
		{"--config ", []string{"yaml", "yml"}},
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
	for _, line := range []string{"standalone --dmo 3", "standalone --demo x", "farm", "chunks generate", "heartbeat new --typ Merkle"} {
		root := newRootCommand()
		root.SetArgs(strings.Fields(line))
		if err := root.Execute(); err == nil || !strings.Contains(err.Error(), "--help") {
			t.Errorf("%s: %v", line, err)
		}
	}
}
