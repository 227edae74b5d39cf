package main

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"

	"github.com/driveshare/downstream-node/internal/farmer"
)

// progress describes a snapshot in one line. wanted is the number of bytes to store.
func progress(s farmer.Snapshot, wanted int64, now time.Time) string {
	waiting := ""
	if !s.RetryAt.IsZero() {
		wait := max(s.RetryAt.Sub(now), 0)
		waiting = fmt.Sprintf("waiting for the node, next try in %v: %s", wait.Truncate(time.Second), s.LastError)
	}
	if s.Joined == 0 {
		return cmp.Or(waiting, "joining the node")
	}
	parts := []string{
		fmt.Sprintf("%s contracts", humanize.Comma(int64(s.Contracts))),
		fmt.Sprintf("%s of %s", humanize.IBytes(uint64(s.Bytes)), humanize.IBytes(uint64(wanted))),
		fmt.Sprintf("%s heartbeats", humanize.Comma(s.Heartbeats)),
	}
	if waiting != "" {
		return strings.Join(append(parts, waiting), " · ")
	}
	if s.Rejected > 0 {
		parts = append(parts, fmt.Sprintf("%s rejected", humanize.Comma(s.Rejected)))
	}
	if s.Retries > 0 {
		parts = append(parts, fmt.Sprintf("%s retries", humanize.Comma(s.Retries)))
	}
	if !s.NextDue.IsZero() {
		wait := max(s.NextDue.Sub(now), 0)
		parts = append(parts, fmt.Sprintf("next due in %v", wait.Truncate(time.Second)))
	}
	return strings.Join(parts, " · ")
}

// logProgress logs a snapshot if a farmer has joined the node.
func logProgress(log *slog.Logger, s farmer.Snapshot) {
	if s.Joined == 0 {
		return
	}
	log = log.With("contracts", s.Contracts, "bytes", s.Bytes, "heartbeats", s.Heartbeats,
		"rejected", s.Rejected, "retries", s.Retries)
	if !s.NextDue.IsZero() {
		log = log.With("next_due", s.NextDue)
	}
	log.Info("farming")
}

// liveLine redraws the last line of a terminal. Write writes above that line.
type liveLine struct {
	mu    sync.Mutex
	out   io.Writer
	width func() int // columns, 0 if unknown
	text  string
}

// clearLine moves to the start of the line and clears it.
const clearLine = "\r\x1b[K"

// newLiveLine returns nil if out is not a terminal.
func newLiveLine(out io.Writer) *liveLine {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return &liveLine{out: f, width: func() int {
		columns, _, err := term.GetSize(int(f.Fd()))
		if err != nil {
			return 0
		}
		return columns
	}}
}

func (l *liveLine) draw(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// clearLine cannot clear a line that wraps.
	if runes, width := []rune(text), l.width(); width > 0 && len(runes) >= width {
		text = string(runes[:width-1])
	}
	l.text = text
	fmt.Fprint(l.out, clearLine, text)
}

func (l *liveLine) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := fmt.Fprint(l.out, clearLine); err != nil {
		return 0, err
	}
	n, err := l.out.Write(p)
	if err == nil {
		_, err = fmt.Fprint(l.out, l.text)
	}
	return n, err
}

// end keeps the text on the screen and moves to the next line.
func (l *liveLine) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text != "" {
		fmt.Fprintln(l.out)
	}
	l.text = ""
}
