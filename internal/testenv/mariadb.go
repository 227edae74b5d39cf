package testenv

import (
	"database/sql"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// MariaDB is a server of one test.
type MariaDB struct {
	process
	port int
	n    atomic.Int64 // databases made
}

// The user that tests connect as. It owns the test databases and no more:
// whoever may do everything may also write to a read-only server.
const (
	testUser     = "node"
	testPassword = "node"
	testDatabase = "test_"
)

// NewDatabase makes an empty database for the test and returns its DSN. It is
// dropped with the test.
func NewDatabase(t testing.TB) (dsn string) {
	t.Helper()
	if dsn := os.Getenv("TEST_MYSQL_DSN"); dsn != "" {
		return newDatabaseAt(t, dsn)
	}
	return sharedMariaDB.get(t).NewDatabase(t)
}

// StartMariaDB starts a server for the test alone.
func StartMariaDB(t testing.TB, mode Mode) *MariaDB {
	t.Helper()
	m, err := launchMariaDB(mode)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func launchMariaDB(mode Mode) (*MariaDB, error) {
	path, err := find("mariadbd", "mariadb-server")
	if err != nil {
		return nil, err
	}
	template, err := mariaDBTemplate(path)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := newDir()
	if err != nil {
		return nil, err
	}
	m := &MariaDB{port: port}
	m.process = process{name: "MariaDB", path: path, dir: dir, ready: m.ping}
	m.args = m.arguments(mode)
	if err := m.prepare(template); err != nil {
		return nil, err
	}
	if err := m.start(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return m, nil
}

func (m *MariaDB) arguments(mode Mode) []string {
	args := []string{
		"--no-defaults",
		"--datadir=" + filepath.Join(m.dir, "data"),
		"--socket=" + m.socket(),
		"--pid-file=" + filepath.Join(m.dir, "pid"),
		"--init-file=" + filepath.Join(m.dir, "init.sql"),
		"--bind-address=127.0.0.1",
		"--port=" + strconv.Itoa(m.port),
		"--skip-name-resolve",
		"--skip-log-bin",
		"--performance-schema=off",
		"--max-connections=500",
		"--innodb-buffer-pool-size=128M",
		"--innodb-log-file-size=" + logFileSize,
	}
	if os.Geteuid() == 0 {
		args = append(args, "--user=root")
	}
	if mode == Fast {
		args = append(args, "--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync", "--innodb-doublewrite=0")
	}
	return args
}

// The socket has a short name: a path to one has about 100 characters at most.
func (m *MariaDB) socket() string { return filepath.Join(m.dir, "s") }

// prepare fills the server's directory.
func (m *MariaDB) prepare(template string) error {
	if err := os.CopyFS(filepath.Join(m.dir, "data"), os.DirFS(template)); err != nil {
		return err
	}
	grants := fmt.Sprintf("CREATE USER IF NOT EXISTS '%[1]s'@'%%' IDENTIFIED BY '%[2]s';\n"+
		"GRANT ALL ON `%[3]s%%`.* TO '%[1]s'@'%%';\n", testUser, testPassword, testDatabase)
	return os.WriteFile(filepath.Join(m.dir, "init.sql"), []byte(grants), 0o600)
}

// NewDatabase makes an empty database for the test and returns its DSN.
func (m *MariaDB) NewDatabase(t testing.TB) (dsn string) {
	t.Helper()
	name := fmt.Sprintf("%s%d", testDatabase, m.n.Add(1))
	if err := m.admin("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if m.running() {
			_ = m.admin("DROP DATABASE IF EXISTS " + name) // it ends with the server otherwise
		}
	})
	return m.config(name).FormatDSN()
}

// SetReadOnly makes the server refuse writes, as one that was demoted does, or
// take them again.
func (m *MariaDB) SetReadOnly(t testing.TB, readOnly bool) {
	t.Helper()
	m.SetGlobal(t, "read_only", strconv.FormatBool(readOnly))
}

// SetGlobal sets one of the server's variables until it ends.
func (m *MariaDB) SetGlobal(t testing.TB, variable, value string) {
	t.Helper()
	if err := m.admin("SET GLOBAL " + variable + " = " + value); err != nil {
		t.Fatal(err)
	}
}

// Stop shuts the server down in order.
func (m *MariaDB) Stop(t testing.TB) { t.Helper(); m.must(t, m.end(syscall.SIGTERM)) }

// Kill ends the server on the spot.
func (m *MariaDB) Kill(t testing.TB) { t.Helper(); m.must(t, m.end(syscall.SIGKILL)) }

// Start starts the server again, and returns when it answers.
func (m *MariaDB) Start(t testing.TB) { t.Helper(); m.must(t, m.start()) }

// Pause stops the server from running: connections stay, nothing answers.
func (m *MariaDB) Pause() { m.signal(syscall.SIGSTOP) }

// Resume ends a pause.
func (m *MariaDB) Resume() { m.signal(syscall.SIGCONT) }

func (m *MariaDB) close() error {
	defer os.RemoveAll(m.dir)
	return m.end(syscall.SIGKILL)
}

func (m *MariaDB) must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// config is how tests connect.
func (m *MariaDB) config(database string) *mysql.Config {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd = testUser, testPassword
	cfg.Net, cfg.Addr = "tcp", fmt.Sprintf("127.0.0.1:%d", m.port)
	cfg.DBName = database
	return cfg
}

func (m *MariaDB) ping() error {
	return withDB(m.config(""), func(db *sql.DB) error { return db.Ping() })
}

// admin runs a statement as root, whom the socket lets in.
func (m *MariaDB) admin(statement string) error {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Net, cfg.Addr = "root", "unix", m.socket()
	return withDB(cfg, func(db *sql.DB) error {
		_, err := db.Exec(statement)
		return err
	})
}

func withDB(cfg *mysql.Config, do func(*sql.DB) error) error {
	cfg.Logger = log.New(io.Discard, "", 0)
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	return do(db)
}

var databases atomic.Int64

// newDatabaseAt makes a database on a server that is there already, for which
// other test processes make theirs at the same time.
func newDatabaseAt(t testing.TB, dsn string) string {
	t.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatalf("TEST_MYSQL_DSN: %v", err)
	}
	name := fmt.Sprintf("%s%d_%d", testDatabase, os.Getpid(), databases.Add(1))
	cfg.DBName = ""
	run := func(statement string) error {
		return withDB(cfg, func(db *sql.DB) error {
			_, err := db.Exec(statement)
			return err
		})
	}
	if err := run("CREATE DATABASE " + name); err != nil {
		t.Fatalf("TEST_MYSQL_DSN: %v", err)
	}
	t.Cleanup(func() {
		if err := run("DROP DATABASE IF EXISTS " + name); err != nil {
			t.Error(err)
		}
	})
	own := cfg.Clone()
	own.DBName = name
	return own.FormatDSN()
}
