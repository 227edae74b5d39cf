package report

import (
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// Progress shows on standard error what is being done: a line that is written
// over at a terminal, a line each elsewhere.
type Progress struct{ bar *progressbar.ProgressBar }

// NewProgress begins to show it.
func NewProgress() Progress {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return Progress{}
	}
	return Progress{progressbar.NewOptions(-1,
		progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionSpinnerType(14),
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionSetRenderBlankState(true),
		progressbar.OptionClearOnFinish())}
}

// Step says what is done now.
func (p Progress) Step(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if p.bar == nil {
		fmt.Fprintln(os.Stderr, time.Now().Format(time.TimeOnly), text)
		return
	}
	p.bar.Describe(text)
	_ = p.bar.RenderBlank() // an ornament: that it cannot be drawn is no failure
}

// End takes the line away.
func (p Progress) End() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
