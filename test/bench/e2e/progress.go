package main

import (
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows on standard error what is being done: a line that is written
// over at a terminal, a line each elsewhere.
type progress struct{ bar *progressbar.ProgressBar }

func newProgress() progress {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return progress{}
	}
	return progress{progressbar.NewOptions(-1,
		progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionSpinnerType(14),
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionSetRenderBlankState(true),
		progressbar.OptionClearOnFinish())}
}

// step says what is done now.
func (p progress) step(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if p.bar == nil {
		fmt.Fprintln(os.Stderr, time.Now().Format(time.TimeOnly), text)
		return
	}
	p.bar.Describe(text)
	_ = p.bar.RenderBlank() // an ornament: that it cannot be drawn is no failure
}

func (p progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
