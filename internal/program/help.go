package program

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// PointToHelp makes root's commands name their help in an error about a flag or
// an argument, and refuse unknown subcommands.
func PointToHelp(root *cobra.Command) {
	root.SetFlagErrorFunc(SeeHelp)
	for _, cmd := range root.Commands() {
		refuseUnknown(cmd)
	}
	checkArgs(root)
}

func checkArgs(cmd *cobra.Command) {
	if args := cmd.Args; args != nil {
		cmd.Args = func(cmd *cobra.Command, given []string) error { return SeeHelp(cmd, args(cmd, given)) }
	}
	for _, child := range cmd.Commands() {
		checkArgs(child)
	}
}

// refuseUnknown makes a command that only has subcommands refuse an unknown
// one. cobra would print the help and exit with 0.
func refuseUnknown(cmd *cobra.Command) {
	if !cmd.HasSubCommands() || cmd.Runnable() {
		return
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unknown command %q for %q; --help lists them", args[0], cmd.CommandPath())
		}
		return cmd.Help()
	}
}

// SeeHelp adds the command that explains cmd's flags and arguments to err.
func SeeHelp(cmd *cobra.Command, err error) error {
	if err == nil || strings.Contains(err.Error(), "--help") {
		return err
	}
	return fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath())
}

// CompleteWith makes the shell offer values for a flag.
func CompleteWith(cmd *cobra.Command, flag string, values ...cobra.Completion) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // there is no such flag
	}
}
