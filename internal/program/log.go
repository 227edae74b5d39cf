package program

import (
	"io"
	"log/slog"

	"github.com/driveshare/downstream-node/internal/config"
)

// NewLogger returns a log that writes to w.
func NewLogger(cfg config.Log, w io.Writer) *slog.Logger {
	opt := &slog.HandlerOptions{Level: cfg.Level}
	if cfg.Format == config.LogJSON {
		return slog.New(slog.NewJSONHandler(w, opt))
	}
	return slog.New(slog.NewTextHandler(w, opt))
}
