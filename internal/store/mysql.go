package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-sql-driver/mysql"
	gormmysql "gorm.io/driver/mysql"
	"gorm.io/gorm"
)

// How long to wait for the server, where the DSN does not say. A server that
// hangs must be noticed within the time that a farmer waits.
const (
	dialTimeout = 5 * time.Second
	ioTimeout   = 30 * time.Second
)

// mysqlConfig reads the DSN and sets what the store relies on, whatever the
// DSN says.
func mysqlConfig(dsn string, logger *slog.Logger) (*mysql.Config, error) {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("MySQL DSN: %w", err)
	}
	if cfg.DBName == "" {
		return nil, fmt.Errorf("MySQL DSN: names no database")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = dialTimeout
	}
	if cfg.ReadTimeout == 0 {
		cfg.ReadTimeout = ioTimeout
	}
	if cfg.WriteTimeout == 0 {
		cfg.WriteTimeout = ioTimeout
	}
	cfg.Loc = time.UTC
	cfg.ClientFoundRows = true   // an UPDATE that changes nothing found its row all the same
	cfg.RejectReadOnly = true    // after a failover, leave the old primary
	cfg.InterpolateParams = true // one round trip a statement; safe in utf8mb4
	cfg.MultiStatements = true   // for pipelines; no text from outside is ever part of a statement
	cfg.Collation = "utf8mb4_bin"
	cfg.Logger = driverLogger{logger}
	if cfg.Params == nil {
		cfg.Params = map[string]string{}
	}
	// Strict, so that a value that does not fit is an error; and without the
	// modes that change what a quoted text means.
	cfg.Params["sql_mode"] = "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"
	if _, ok := cfg.Params["innodb_lock_wait_timeout"]; !ok {
		cfg.Params["innodb_lock_wait_timeout"] = "5"
	}
	return cfg, nil
}

// openMySQL connects to nothing yet: a node starts while its database is down,
// and says so when asked for something.
func openMySQL(opt Options) (write, read *gorm.DB, err error) {
	cfg, err := mysqlConfig(opt.DSN, opt.Logger)
	if err != nil {
		return nil, nil, err
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, nil, fmt.Errorf("MySQL DSN: %w", err)
	}
	pool := sql.OpenDB(readCommitted{connector})
	pool.SetMaxOpenConns(opt.MaxOpen)
	pool.SetMaxIdleConns(opt.MaxIdle)
	pool.SetConnMaxLifetime(opt.MaxLifetime)
	db, err := gorm.Open(gormmysql.New(gormmysql.Config{
		Conn: pool,
		// Otherwise gorm would ask for the version, and use RETURNING where
		// MariaDB has it.
		SkipInitializeWithVersion: true,
	}), gormConfig(opt.Logger))
	if err != nil {
		pool.Close()
		return nil, nil, err
	}
	return db, db, nil
}

// readCommitted makes connections whose transactions run at READ COMMITTED.
// Saying so once a connection saves a round trip a transaction. It is a
// statement and not a variable in the DSN because the variable has one name in
// MySQL 8 and another in MariaDB 10.
type readCommitted struct{ driver.Connector }

func (c readCommitted) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	const set = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
	if _, err := conn.(driver.ExecerContext).ExecContext(ctx, set, nil); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// driverLogger passes on what the driver has to say, which is about broken
// connections and never about statements.
type driverLogger struct{ *slog.Logger }

func (l driverLogger) Print(v ...any) { l.Debug("mysql driver: " + fmt.Sprint(v...)) }
