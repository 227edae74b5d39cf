package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/go-logr/logr"
	"github.com/redis/go-redis/v9"
	ctrl "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/driveshare/downstream-node/internal/config"
)

// newLogger makes the process's log, and takes in what libraries would
// otherwise print by themselves.
func newLogger(cfg config.Log, w io.Writer) *slog.Logger {
	opt := &slog.HandlerOptions{Level: cfg.Level}
	var log *slog.Logger
	if cfg.Format == config.LogJSON {
		log = slog.New(slog.NewJSONHandler(w, opt))
	} else {
		log = slog.New(slog.NewTextHandler(w, opt))
	}
	redis.SetLogger(redisLog{log})
	ctrl.SetLogger(logr.FromSlogHandler(log.Handler())) // of the certificate watcher
	return log
}

// redisLog is the Redis client's log. What it tells there, callers are told as
// errors too, so it is for those who look closer.
type redisLog struct{ log *slog.Logger }

func (l redisLog) Printf(ctx context.Context, format string, args ...any) {
	l.log.DebugContext(ctx, "redis client: "+fmt.Sprintf(format, args...))
}
