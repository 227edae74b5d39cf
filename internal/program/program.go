// Package program holds what the project's programs share: the exit status, the
// log, the version, and messages that point to a command's help. It imports
// nothing of Kubernetes, so that the node program does not either.
package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Run runs the command that args name below root, and returns the exit status
// of the process. SIGINT and SIGTERM end the command's context; a second signal
// ends the process at once.
func Run(root *cobra.Command, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	root.SilenceUsage, root.SilenceErrors = true, true
	root.SetArgs(args)
	return ExitStatus(root, root.ExecuteContext(ctx), os.Stderr)
}

// ExitOtherKey is the exit status of `db migrate` if the database belongs to
// another heartbeat key. The operator reads it.
const ExitOtherKey = 3

// ExitError is an error with an exit status.
type ExitError struct {
	Status int
	Err    error
}

func (e ExitError) Error() string { return e.Err.Error() }
func (e ExitError) Unwrap() error { return e.Err }

// ExitStatus prints err, and returns the status of its ExitError, or 1 if it
// has none. An error without a text is not printed.
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

// NewVersionCommand prints the version of the program.
func NewVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := version
			if info, ok := debug.ReadBuildInfo(); ok && v == "" {
				v = info.Main.Version
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s %s %s/%s\n", cmd.Root().Name(), v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// LogConfig is the section log of the configuration.
type LogConfig struct {
	// The least severe level that is logged: `debug`, `info`, `warn` or `error`.
	Level slog.Level `yaml:"level" default:"info"`
	// The format of each entry, on one line: `json` or `text`.
	Format string `yaml:"format" default:"json" oneof:"json text"`
}

// NewLogger returns a log that writes to w.
func NewLogger(cfg LogConfig, w io.Writer) *slog.Logger {
	opt := &slog.HandlerOptions{Level: cfg.Level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opt))
	}
	return slog.New(slog.NewTextHandler(w, opt))
}

// ProgressBar shows the progress of a long command on standard error. It shows
// nothing if standard error is not a terminal.
type ProgressBar struct{ bar *progressbar.ProgressBar }

// NewProgressBar returns a bar that is full after so many bytes; -1 means that
// the number is not known.
func NewProgressBar(cmd *cobra.Command, bytes int64) ProgressBar {
	if file, ok := cmd.ErrOrStderr().(*os.File); !ok || !term.IsTerminal(int(file.Fd())) {
		return ProgressBar{progressbar.DefaultBytesSilent(bytes)}
	}
	return ProgressBar{progressbar.DefaultBytes(bytes, cmd.Name())}
}

// A bar that cannot be drawn is not a failure of the command.

func (p ProgressBar) Add(bytes int64) { _ = p.bar.Add64(bytes) }
func (p ProgressBar) Done()           { _ = p.bar.Exit() }

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
