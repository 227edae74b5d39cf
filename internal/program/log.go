package program

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/driveshare/downstream-node/internal/config"
)

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
	var handler slog.Handler = slog.NewTextHandler(w, opt)
	if cfg.Format == "json" {
		handler = slog.NewJSONHandler(w, opt)
	}
	return slog.New(once{handler, &failures{said: map[string]*failure{}}})
}

// EnvironmentLogger returns the log of a program that has no configuration file. The
// variables of the section log set it; format is the default of the format.
func EnvironmentLogger(format string, w io.Writer, environ []string) (*slog.Logger, error) {
	c := config.Default[struct {
		Log LogConfig `yaml:"log"`
	}]()
	c.Log.Format = format
	c, err := config.Load(c, "", environ)
	if err != nil {
		return nil, err
	}
	return NewLogger(c.Log, w), nil
}

// once is a handler that leaves out warnings which say again what failed. While a server is
// out of reach, the parts of a process try again every second, and each attempt is a warning.
type once struct {
	slog.Handler
	failures *failures
}

// failures are the warnings of the last sayAgain.
type failures struct {
	mu   sync.Mutex
	said map[string]*failure
}

type failure struct {
	until time.Time // until when the same warning is left out
	left  int       // how many were left out
}

const (
	sayAgain    = 30 * time.Second // how long an equal warning is left out
	maxFailures = 100              // the warnings that are remembered
)

// Handle implements [slog.Handler]. Warnings are equal if they have the same message, which
// begins with "cannot", and the same error apart from digits: ports and times differ. The
// first one after sayAgain says how many were left out.
func (h once) Handle(ctx context.Context, r slog.Record) error {
	if r.Level == slog.LevelWarn && strings.HasPrefix(r.Message, "cannot ") {
		reason := ""
		r.Attrs(func(a slog.Attr) bool {
			if a.Key == "error" {
				reason = a.Value.String()
			}
			return reason == ""
		})
		left, again := h.failures.again(r.Message+"\n"+strings.Map(withoutDigits, reason), r.Time)
		if again {
			return nil
		}
		if left > 0 {
			r.AddAttrs(slog.Int("repeated", left))
		}
	}
	return h.Handler.Handle(ctx, r)
}

func withoutDigits(r rune) rune {
	if r >= '0' && r <= '9' {
		return -1
	}
	return r
}

// again reports whether a warning is equal to one in the last sayAgain. If not, it returns
// how many equal ones were left out before.
func (f *failures) again(warning string, now time.Time) (left int, again bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := f.said[warning]
	if last != nil && now.Before(last.until) {
		last.left++
		return 0, true
	}
	if last != nil {
		left = last.left
	} else if len(f.said) >= maxFailures {
		clear(f.said)
	}
	f.said[warning] = &failure{until: now.Add(sayAgain)}
	return left, false
}

// WithAttrs implements [slog.Handler].
func (h once) WithAttrs(attrs []slog.Attr) slog.Handler {
	return once{h.Handler.WithAttrs(attrs), h.failures}
}

// WithGroup implements [slog.Handler].
func (h once) WithGroup(name string) slog.Handler {
	return once{h.Handler.WithGroup(name), h.failures}
}
