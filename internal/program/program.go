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
	"syscall"

	"github.com/spf13/cobra"
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
