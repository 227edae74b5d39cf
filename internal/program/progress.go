package program

import (
	"os"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

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
