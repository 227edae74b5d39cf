package program

import (
	"io"
	"log/slog"
)

// LogConfig is the section log of the configuration.
type LogConfig struct {
	// The least severe level that is logged: `debug`, `info`, `warn` or `error`.
	Level slog.Level `yaml:"level" default:"info"`
	// The format of each entry, on one line: `json` or `text`.
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
