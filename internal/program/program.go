// Package program holds what the project's programs share: the exit status, the
// log, the version, and error messages that name a command's help. It imports no
// Kubernetes package, because the node program must not depend on one.
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

// Run runs the subcommand of root that args name, and returns the exit status of the
// process. SIGINT and SIGTERM end the command's context. A second signal ends the
// process immediately.
func Run(root *cobra.Command, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	root.SilenceUsage, root.SilenceErrors = true, true
	root.SetArgs(args)
	return ExitStatus(root, root.ExecuteContext(ctx), os.Stderr)
}

// ExitOtherKey is the exit status of `db migrate` if the database belongs to
// another heartbeat key. The Kubernetes operator reads this status.
const ExitOtherKey = 3

// ExitOtherOwner is the exit status of `db migrate` if the database belongs to another
// node.
const ExitOtherOwner = 4

// ExitError is an error with an exit status.
type ExitError struct {
	Status int
	Err    error
}

func (e ExitError) Error() string { return e.Err.Error() }
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

// NewVersionCommand returns a command that prints the version of the program.
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
	// The format of the log: `json` or `text`. Each entry is one line.
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

// PointToHelp changes the errors of root's commands. An error about a flag or an
// argument names the command's help. An unknown subcommand is an error.
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

// refuseUnknown changes a command that only has subcommands: an unknown subcommand
// becomes an error. By default, cobra prints the help and exits with 0.
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

// SeeHelp adds to err the command that prints cmd's help.
func SeeHelp(cmd *cobra.Command, err error) error {
	if err == nil || strings.Contains(err.Error(), "--help") {
		return err
	}
	return fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath())
}

// CompleteWith sets the values that shell completion offers for a flag.
func CompleteWith(cmd *cobra.Command, flag string, values ...cobra.Completion) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // the command has no such flag
	}
}
