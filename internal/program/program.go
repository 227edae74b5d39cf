// Package program holds what the project's programs share: the exit status, the
// log, the version, and error messages that name a command's help. It imports no
// Kubernetes package, because the node program must not depend on one.
package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// Run runs the subcommand of root that args name, and returns the exit status of the
// process. SIGINT and SIGTERM end the command's context. A second signal ends the
// process immediately.
func Run(root *cobra.Command, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	root.SilenceUsage, root.SilenceErrors = true, true
	root.AddCommand(newManCommand())
	root.SetArgs(args)
	return ExitStatus(root, root.ExecuteContext(ctx), os.Stderr)
}

// ExitOtherKey is the exit status of `db migrate` if the database belongs to
// another heartbeat key. The Kubernetes operator reads this status.
const ExitOtherKey = 3

// ExitOtherOwner is the exit status of `db migrate` if the database belongs to another
// node.
const ExitOtherOwner = 4

// ExitError is an error with an exit status. Err may be nil if the command has already
// printed what is wrong.
type ExitError struct {
	Status int
	Err    error
}

func (e ExitError) Error() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}
func (e ExitError) Unwrap() error { return e.Err }

// ExitStatus prints err, unless its text is empty. It returns the status of the
// ExitError in err, or 1 if there is none. If err is nil, it returns 0.
func ExitStatus(root *cobra.Command, err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	if msg := err.Error(); msg != "" {
		fmt.Fprintf(stderr, "%s: %s\n", root.Name(), msg)
	}
	if exit, ok := errors.AsType[ExitError](err); ok {
		return exit.Status
	}
	return 1
}

// version is set by the linker in release builds.
var version = ""

// Release returns the version of the program, without its name.
func Release() string {
	if info, ok := debug.ReadBuildInfo(); ok && version == "" {
		return info.Main.Version
	}
	return version
}

// BuildInfo returns the metric that names the version of a program.
func BuildInfo(name string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "downstream_build_info",
		Help:        "Always 1. The labels name the program, its version, and the Go release that built it.",
		ConstLabels: prometheus.Labels{"program": name, "version": Release(), "goversion": runtime.Version()},
	}, func() float64 { return 1 })
}

// newVersionCommand returns a command that prints the version of the program.
func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), Version(cmd.Root().Name()))
			return err
		},
	}
}

// Version returns the name of a program and its version, the compiler and the system.
func Version(name string) string {
	return fmt.Sprintf("%s %s %s %s/%s", name, Release(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// ProgressBar shows the progress of a long command on standard error. It shows
// nothing if standard error is not a terminal.
type ProgressBar struct{ bar *progressbar.ProgressBar }

// NewProgressBar returns a progress bar. bytes is the total number of bytes, or -1 if
// it is unknown.
func NewProgressBar(cmd *cobra.Command, bytes int64) ProgressBar {
	if file, ok := cmd.ErrOrStderr().(*os.File); !ok || !term.IsTerminal(int(file.Fd())) {
		return ProgressBar{progressbar.DefaultBytesSilent(bytes)}
	}
	return ProgressBar{progressbar.DefaultBytes(bytes, cmd.Name())}
}

// The methods ignore errors: a command must not fail because of its progress bar.

func (p ProgressBar) Add(bytes int64) { _ = p.bar.Add64(bytes) }
func (p ProgressBar) Done()           { _ = p.bar.Exit() }

// Prepare completes the root command of a program. It adds the command version and the flag
// --version. An error about a flag or an argument names the command's help. A command that
// only groups others prints its help and fails, and an unknown subcommand is an error.
func Prepare(root *cobra.Command) {
	root.AddCommand(newVersionCommand())
	root.Version = Release()
	root.SetVersionTemplate(Version(root.Name()) + "\n")
	root.SetFlagErrorFunc(SeeHelp)
	root.InitDefaultCompletionCmd()
	prepare(root)
}

// exitUsage is the exit status of a command that needs a subcommand.
const exitUsage = 2

func prepare(cmd *cobra.Command) {
	if args := cmd.Args; args != nil {
		cmd.Args = func(cmd *cobra.Command, given []string) error { return SeeHelp(cmd, args(cmd, given)) }
	}
	if !cmd.Runnable() { // by default, cobra prints the help and exits with 0
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q for %q; --help lists them", args[0], cmd.CommandPath())
			}
			cmd.SetOut(cmd.ErrOrStderr())
			return ExitError{exitUsage, cmd.Help()}
		}
	}
	for _, child := range cmd.Commands() {
		prepare(child)
	}
}

// flagKinds says what the values of a type of flags are, by pflag's name of the type.
var flagKinds = map[string]string{
	"bool":     "true or false",
	"int":      "a whole number",
	"int64":    "a whole number",
	"float64":  "a number",
	"duration": "a duration such as 90s, 5m or 1h30m",
}

// plainFlagError replaces pflag's error about a value, which names functions of Go.
func plainFlagError(err error) error {
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		if kind := flagKinds[invalid.GetFlag().Value.Type()]; kind != "" {
			return fmt.Errorf("--%s %q: must be %s", invalid.GetFlag().Name, invalid.GetValue(), kind)
		}
	}
	return err
}

// SeeHelp adds to err the command that prints cmd's help.
func SeeHelp(cmd *cobra.Command, err error) error {
	if err == nil || strings.Contains(err.Error(), "--help") {
		return err
	}
	if msg := err.Error(); strings.HasPrefix(msg, "accepts ") || strings.HasPrefix(msg, "requires ") { // cobra's words
		err = fmt.Errorf("wrong number of arguments; the command is `%s`", strings.TrimSuffix(cmd.UseLine(), " [flags]"))
	}
	return fmt.Errorf("%w; see `%s --help`", plainFlagError(err), cmd.CommandPath())
}

// CompleteWith sets the values that shell completion offers for a flag.
func CompleteWith(cmd *cobra.Command, flag string, values ...cobra.Completion) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // the command has no such flag
	}
}
