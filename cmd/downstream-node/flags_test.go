package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestFlagsAreTold holds that help names a flag's value by one word. A text in
// backquotes would be taken for that name.
func TestFlagsAreTold(t *testing.T) {
	t.Parallel()
	told := 0
	var look func(*cobra.Command)
	look = func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			told++
			if value, usage := pflag.UnquoteUsage(f); strings.Contains(value, " ") || usage == "" {
				t.Errorf("%s --%s %s: %q", cmd.CommandPath(), f.Name, value, usage)
			}
		})
		for _, sub := range cmd.Commands() {
			look(sub)
		}
	}
	look(newRootCommand())
	if told < 20 {
		t.Errorf("only %d flags were looked at", told)
	}
}
