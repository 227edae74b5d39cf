package main

import (
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
	"github.com/driveshare/downstream-node/internal/node"
)

// progress describes a snapshot in one line. wanted is the number of bytes to store.
func progress(s farmer.Snapshot, wanted int64, now time.Time) string {
	waiting := ""
	if !s.RetryAt.IsZero() {
		wait := max(s.RetryAt.Sub(now), 0)
		waiting = fmt.Sprintf("waiting for the node, next try in %v", wait.Truncate(time.Second))
	}
	if s.Joined == 0 {
		if waiting == "" {
			return "joining the node"
		}
		return waiting + ": " + s.LastError
	}
	parts := []string{
		node.Counted(int64(s.Contracts), "contract"),
		fmt.Sprintf("%s of %s", humanize.IBytes(uint64(s.Bytes)), humanize.IBytes(uint64(wanted))),
		node.Counted(s.Heartbeats, "heartbeat") + " in this run",
	}
	if s.Lost > 0 {
		parts = append(parts, fmt.Sprintf("%s lost, the last: %s", humanize.Comma(s.Lost), s.LostWhy))
	}
	if waiting != "" { // first, because a terminal may have room only for the begin of the line
		return strings.Join(append([]string{waiting}, append(parts, s.LastError)...), " · ")
	}
	if s.Retries > 0 {
		parts = append(parts, node.Counted(s.Retries, "repeated request"))
	}
	if !s.NextDue.IsZero() {
		wait := max(s.NextDue.Sub(now), 0)
		parts = append(parts, fmt.Sprintf("next due in %v", wait.Truncate(time.Second)))
	}
	return strings.Join(parts, " · ")
}

// nextLine returns when the next line of the log about the progress is due. last is when the
// last line was written, and due was the latest due of all contracts at that time. So there is
// a line in each interval, but not more often than is useful.
func nextLine(last, due time.Time) time.Time {
	const least, most = 10 * time.Second, time.Hour
	if due.IsZero() { // there are no contracts yet
		return last.Add(time.Minute)
	}
	return last.Add(min(max(due.Sub(last), least), most))
}

// logProgress logs a snapshot if a farmer has joined the node.
func logProgress(log *slog.Logger, s farmer.Snapshot, now time.Time) {
	if s.Joined == 0 {
		return
	}
	log = log.With("contracts", s.Contracts, "bytes", s.Bytes, "heartbeats", s.Heartbeats,
		"lost", s.Lost, "retries", s.Retries)
	if s.Lost > 0 {
		log = log.With("last_lost", s.LostWhy)
	}
	if s.NextDue.After(now) {
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
