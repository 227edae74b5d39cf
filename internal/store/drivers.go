package store

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"strings"
	"time"

	gormsqlite "github.com/glebarez/sqlite"
	"github.com/go-sql-driver/mysql"
	gormmysql "gorm.io/driver/mysql"
	"gorm.io/gorm"
)

var mysqlDialect = dialect{
	name:        "mysql",
	forUpdate:   " FOR UPDATE",
	skipLocked:  " FOR UPDATE SKIP LOCKED",
	byID:        " FORCE INDEX (PRIMARY)",
	bySize:      " FORCE INDEX (chunks_key_size)",
	byUnproven:  " FORCE INDEX (contracts_unproven)",
	byFile:      " FORCE INDEX (contracts_file)",
	byContent:   " FORCE INDEX (files_content)",
	updateRows:  500,
	byInterval:  true,
	joinInOrder: " STRAIGHT_JOIN ",
	pipelines:   true,
	snapshot:    &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
	clock:       "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))",
	greatest:    "GREATEST",
	onConflict:  func(string) string { return " ON DUPLICATE KEY UPDATE " },
	// MySQL deprecates VALUES(), but MariaDB has no replacement for it.
	inserted: func(column string) string { return "VALUES(" + column + ")" },
}

// Timeouts that apply if the DSN sets none. The node must notice a server that does
// not respond before the farmer's request times out.
const (
	dialTimeout = 5 * time.Second
	ioTimeout   = 30 * time.Second
)

// severalHosts matches a DSN and finds the hosts in it. The driver accepts only one.
var severalHosts = regexp.MustCompile(`^((?s:.*)@)?tcp\(([^()]*,[^()]*)\)(/[^/]*)$`)

// parseDSN reads the DSN. It also returns the addresses of the servers.
func parseDSN(dsn string) (cfg *mysql.Config, addrs []string, err error) {
	if strings.HasPrefix(dsn, "mysql://") || strings.HasPrefix(dsn, "mariadb://") {
		return nil, nil, errors.New("the MySQL DSN is a URL; write it as user:password@tcp(host:3306)/downstream")
	}
	if found := severalHosts.FindStringSubmatch(dsn); found != nil {
		addrs = strings.Split(found[2], ",")
		for i, addr := range addrs {
			if addrs[i] = strings.TrimSpace(addr); addrs[i] == "" {
				return nil, nil, errors.New("the MySQL DSN has a comma without a host beside it; write the hosts as tcp(a:3306,b:3306)")
			}
		}
		dsn = found[1] + "tcp(" + addrs[0] + ")" + found[3]
	}
	if cfg, err = mysql.ParseDSN(dsn); err != nil {
		if strings.Contains(err.Error(), "default addr for network") {
			return nil, nil, errors.New("the MySQL DSN has an address without tcp(...); write it as user:password@tcp(host:3306)/downstream")
		}
		return nil, nil, fmt.Errorf("MySQL DSN: %w", err)
	}
	if cfg.DBName == "" {
		return nil, nil, errors.New("the MySQL DSN names no database; write it after the slash: user:password@tcp(host:3306)/downstream")
	}
	if addrs == nil {
		addrs = []string{cfg.Addr}
	}
	return cfg, addrs, nil
}

// mysqlConfigs returns the driver's configuration for each server. It sets the options
// that the store depends on, even if the DSN sets them differently.
func mysqlConfigs(c Config, log slowLog) ([]*mysql.Config, error) {
	cfg, addrs := mysql.NewConfig(), c.Addrs
	if len(addrs) > 0 {
		cfg.Net, cfg.User, cfg.Passwd, cfg.DBName = "tcp", c.Username, string(c.Password), c.Name
	} else {
		var err error
		if cfg, addrs, err = parseDSN(string(c.DSN)); err != nil {
			return nil, err
		}
	}
	secure, err := c.ClientTLS.Load()
	if err != nil {
		return nil, fmt.Errorf("database.%w", err)
	}
	if secure != nil {
		cfg.TLS, cfg.AllowFallbackToPlaintext = secure, false
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
	cfg.ClientFoundRows = true      // an UPDATE counts the rows it found, not the rows it changed
	cfg.RejectReadOnly = false      // it would hide the server's message; mysqlConn drops such connections
	cfg.InterpolateParams = true    // one round trip per statement; safe in utf8mb4
	cfg.MultiStatements = true      // for pipelined transactions; no input is ever part of a statement's text
	cfg.ColumnsWithAlias = false    // gorm expects plain column names
	cfg.MaxAllowedPacket = 64 << 20 // with less, the driver would prepare large statements on the server
	if err := cfg.Apply(mysql.Charset("utf8mb4", "utf8mb4_bin")); err != nil {
		return nil, err
	}
	cfg.Logger = log
	if cfg.Params == nil {
		cfg.Params = map[string]string{}
	}
	// Strict mode: a value that does not fit is an error. The list leaves out the
	// modes that change how quoted text is read.
	cfg.Params["sql_mode"] = "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"
	if _, ok := cfg.Params["innodb_lock_wait_timeout"]; !ok {
		cfg.Params["innodb_lock_wait_timeout"] = "5"
	}
	configs := make([]*mysql.Config, len(addrs))
	for i, addr := range addrs {
		configs[i] = cfg.Clone()
		configs[i].Addr = addr
		if configs[i].TLS != nil {
			configs[i].TLS.ServerName = "" // the driver sets it to the host of Addr
		}
	}
	return configs, nil
}

// openMySQL does not connect, because a node can start before its database.
func openMySQL(cfg Config, log slowLog) (database, error) {
	configs, err := mysqlConfigs(cfg, log)
	if err != nil {
		return database{}, err
	}
	connector, err := newServers(configs, log)
	if err != nil {
		return database{}, err
	}
	pool := sql.OpenDB(newMySQLConnector(connector))
	pool.SetMaxOpenConns(cfg.MaxOpen)
	pool.SetMaxIdleConns(cfg.MaxIdle)
	pool.SetConnMaxLifetime(cfg.ConnLifetime)
	return withGorm(pool, log, gormmysql.New(gormmysql.Config{
		Conn: pool,
		// Otherwise gorm would query the server's version, and use RETURNING on
		// MariaDB.
		SkipInitializeWithVersion: true,
	}))
}

func withGorm(pool *sql.DB, log slowLog, dialector gorm.Dialector) (database, error) {
	db, err := gorm.Open(dialector, &gorm.Config{Logger: log, SkipDefaultTransaction: true, DisableAutomaticPing: true})
	if err != nil {
		pool.Close()
		return database{}, err
	}
	return database{db, pool}, nil
}

var sqliteDialect = dialect{
	name:        "sqlite",
	byFile:      " INDEXED BY contracts_file", // SQLite would read all live contracts
	updateRows:  100,
	joinInOrder: " CROSS JOIN ",
	clock:       "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)",
	greatest:    "MAX",
	onConflict:  func(key string) string { return " ON CONFLICT (" + key + ") DO UPDATE SET " },
	inserted:    func(column string) string { return "excluded." + column },
}

// openSQLite opens one connection for writing and a pool for reading. SQLite allows
// one writer at a time. Writers in this process wait for the connection, which is
// fair and cheap. The busy timeout is then needed only for other processes.
func openSQLite(cfg Config, log slowLog) (write, read database, err error) {
	if cfg.Path == "" || strings.Contains(cfg.Path, ":memory:") {
		return write, read, fmt.Errorf("SQLite path %q: must name a file", cfg.Path)
	}
	protectSQLite(cfg.Path, log)
	write, err = openSQLitePool(cfg.Path, log, "immediate", 1)
	if err != nil {
		return write, read, err
	}
	read, err = openSQLitePool(cfg.Path, log, "deferred", max(4, runtime.GOMAXPROCS(0)))
	if err != nil {
		err = errors.Join(err, write.pool.Close())
	}
	return write, read, err
}

// protectSQLite ensures that other users of the machine cannot read the database,
// because it contains the farmers' IP addresses. SQLite gives its other files the mode
// of the database's file. A mode that only the group may use is the owner's decision.
func protectSQLite(path string, log slowLog) {
	if file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
		file.Close()
		return
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o007 == 0 {
			continue // if the file cannot be opened, SQLite reports why
		}
		if err := os.Chmod(name, 0o600); err != nil {
			log.to.Warn("every user of this machine can read a file of the database; run chmod 0600 on it", "file", name, "error", err)
			continue
		}
		log.to.Info("only the owner can read this file of the database from now on", "file", name)
	}
}

func openSQLitePool(path string, log slowLog, lock string, conns int) (database, error) {
	query := url.Values{
		// A transaction that writes takes the write lock at its start. If it read
		// first, SQLite would not let it wait for the lock later.
		"_txlock": {lock},
		"_pragma": {
			"busy_timeout(5000)",
			"journal_mode(WAL)",
			"synchronous(FULL)", // after a power cut, no verdict that was sent to a farmer is lost
			"foreign_keys(1)",
			"temp_store(MEMORY)",
		},
	}
	pool, err := sql.Open(gormsqlite.DriverName, "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+query.Encode())
	if err != nil {
		return database{}, err
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	db, err := withGorm(pool, log, &gormsqlite.Dialector{Conn: pool})
	if err != nil {
		return database{}, fmt.Errorf("open %s: %w", path, err)
	}
	return db, nil
}
