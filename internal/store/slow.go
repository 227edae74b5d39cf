package store

import (
	"context"
	"log/slog"
	"time"

	"gorm.io/gorm"
	gormlogger "gorm.io/gorm/logger"
)

// slowThreshold is what is worth a line in the log.
const slowThreshold = time.Second

func gormConfig(logger *slog.Logger) *gorm.Config {
	return &gorm.Config{
		Logger:                 slowStatements{logger},
		SkipDefaultTransaction: true,
		DisableAutomaticPing:   true,
	}
}

// slowStatements logs statements that took long, without their values: token
// hashes and challenge states do not belong in a log. Errors it leaves to those
// who they are returned to.
type slowStatements struct{ *slog.Logger }

var _ gormlogger.Interface = slowStatements{}

// Trace is called after each statement.
func (l slowStatements) Trace(ctx context.Context, begin time.Time, statement func() (string, int64), _ error) {
	took := time.Since(begin)
	if took < slowThreshold {
		return
	}
	sql, rows := statement()
	l.WarnContext(ctx, "slow statement", "took", took, "rows", rows, "sql", shorten(sql))
}

// ParamsFilter keeps the values out of what Trace is given.
func (slowStatements) ParamsFilter(_ context.Context, sql string, _ ...any) (string, []any) {
	return sql, nil
}

// shorten cuts what a batch makes of a statement.
func shorten(sql string) string {
	const enough = 300
	if len(sql) > enough {
		return sql[:enough] + "..."
	}
	return sql
}

// LogMode, Info, Warn and Error are gorm talking of itself.

func (l slowStatements) LogMode(gormlogger.LogLevel) gormlogger.Interface { return l }

func (l slowStatements) Info(ctx context.Context, msg string, args ...any) {
	l.DebugContext(ctx, msg, "args", args)
}

func (l slowStatements) Warn(ctx context.Context, msg string, args ...any) {
	l.WarnContext(ctx, msg, "args", args)
}

func (l slowStatements) Error(ctx context.Context, msg string, args ...any) {
	l.ErrorContext(ctx, msg, "args", args)
}
