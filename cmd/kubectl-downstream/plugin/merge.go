package plugin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// logLine is a line of a log.
type logLine struct {
	at      time.Time // when the container wrote it
	label   string
	text    string
	arrived time.Time // when the plugin read it; only in followed logs
}

// logReader reads the lines of a log that has times.
type logReader struct {
	source logSource
	stream io.ReadCloser
	lines  *bufio.Reader
	last   time.Time // of the line before
}

func newLogReader(source logSource, stream io.ReadCloser) *logReader {
	return &logReader{source: source, stream: stream, lines: bufio.NewReader(stream)}
}

func (r *logReader) close() { _ = r.stream.Close() } // nothing was written

// next returns the next line, or io.EOF. A line without a time gets that of the line before.
func (r *logReader) next() (logLine, error) {
	text, err := r.lines.ReadString('\n')
	if text == "" {
		if err != io.EOF {
			err = fmt.Errorf("read the log of %s in the pod %s: %w", r.source.container, r.source.pod, err)
		}
		return logLine{}, err
	}
	text = strings.TrimSuffix(text, "\n")
	stamp, rest, _ := strings.Cut(text, " ")
	if at, err := time.Parse(time.RFC3339Nano, stamp); err == nil {
		r.last, text = at, rest
	}
	return logLine{at: r.last, label: r.source.label, text: text}, nil
}

// mergeLogs prints the lines of logs in the order of their times. Each log is in order
// already, so mergeLogs holds only one line of each. A log that breaks off does not stop the
// others.
func mergeLogs(logs []*logReader, print func(logLine) error) error {
	type head struct {
		logLine
		log *logReader
	}
	var heads []head
	var failed []error
	advance := func(log *logReader) {
		line, err := log.next()
		switch {
		case err == nil:
			heads = append(heads, head{line, log})
		case err != io.EOF:
			failed = append(failed, err)
		}
	}
	for _, log := range logs {
		advance(log)
	}
	for len(heads) > 0 {
		first := 0
		for i := range heads {
			if heads[i].at.Before(heads[first].at) {
				first = i
			}
		}
		h := heads[first]
		heads = slices.Delete(heads, first, first+1)
		if err := print(h.logLine); err != nil {
			return err
		}
		advance(h.log)
	}
	return errors.Join(failed...)
}

// The limits of what printFollowed holds back.
const (
	followDelay = time.Second
	maxHeld     = 50_000 // lines; more than these are printed at once
)

// printFollowed prints lines of several logs until ctx ends. It holds each line back for
// followDelay, so that a line of another log that is older but arrives later comes first.
func printFollowed(ctx context.Context, lines <-chan logLine, print func(logLine) error) error {
	var held []logLine
	// release prints the lines that arrived before a time, and those that are older than them.
	release := func(before time.Time) error {
		slices.SortStableFunc(held, func(a, b logLine) int { return a.at.Compare(b.at) })
		n := 0
		for i, line := range held {
			if line.arrived.Before(before) {
				n = i + 1
			}
		}
		for _, line := range held[:n] {
			if err := print(line); err != nil {
				return err
			}
		}
		held = slices.Delete(held, 0, n)
		return nil
	}
	tick := time.NewTicker(followDelay / 5)
	defer tick.Stop()
	for {
		var err error
		select {
		case line := <-lines:
			line.arrived = time.Now()
			if held = append(held, line); len(held) >= maxHeld {
				err = release(line.arrived.Add(time.Nanosecond))
			}
		case now := <-tick.C:
			err = release(now.Add(-followDelay))
		case <-ctx.Done():
			return release(time.Now().Add(followDelay))
		}
		if err != nil {
			return err
		}
	}
}
