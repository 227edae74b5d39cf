package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestFlagsAreDescribed checks that the help names the value of each flag by one
// word. pflag uses a text in backquotes as that name.
func TestFlagsAreDescribed(t *testing.T) {
	t.Parallel()
	flags := 0
	var look func(*cobra.Command)
	look = func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			flags++
			if value, usage := pflag.UnquoteUsage(f); strings.Contains(value, " ") || usage == "" {
				t.Errorf("%s --%s %s: %q", cmd.CommandPath(), f.Name, value, usage)
			}
		})
		for _, sub := range cmd.Commands() {
			look(sub)
		}
	}
	look(newRootCommand())
	if flags < 20 {
		t.Errorf("only %d flags were checked", flags)
	}
}
