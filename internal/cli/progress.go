package cli

import (
	"os"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// progressBar shows on standard error how far a long command is. Where that is
// no terminal it shows nothing.
type progressBar struct{ bar *progressbar.ProgressBar }

func newProgressBar(cmd *cobra.Command, bytes int64) progressBar {
	if file, ok := cmd.ErrOrStderr().(*os.File); !ok || !term.IsTerminal(int(file.Fd())) {
		return progressBar{progressbar.DefaultBytesSilent(bytes)}
	}
	return progressBar{progressbar.DefaultBytes(bytes, cmd.Name())}
}

// The bar is an ornament: that it cannot be drawn is no failure.

func (p progressBar) add(bytes int64) { _ = p.bar.Add64(bytes) }
func (p progressBar) done()           { _ = p.bar.Exit() }
