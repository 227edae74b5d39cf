package testenv

import (
	"crypto/sha256"
	"database/sql"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// MariaDB is a MariaDB server.
type MariaDB struct {
	process
	n atomic.Int64 // databases made
}

// Tests connect as this user. It owns the test databases and has no other
// rights: a user with all rights may write to a read-only server.
const (
	testUser     = "node"
	testPassword = "node"
	testDatabase = "test_" // prefix of the names of databases
)

// NewDatabase makes an empty database for the test and returns its DSN. The
// database is dropped when the test ends.
func NewDatabase(t testing.TB) (dsn string) {
	t.Helper()
	if dsn := os.Getenv("TEST_MYSQL_DSN"); dsn != "" {
		return newDatabaseAt(t, dsn)
	}
	return sharedMariaDB.get(t).NewDatabase(t)
}

// StartMariaDB starts a server for one test.
func StartMariaDB(t testing.TB, mode Mode) *MariaDB {
	t.Helper()
	m, err := launchMariaDB(mode)
	return closeWith(t, m, err)
}

func launchMariaDB(mode Mode) (*MariaDB, error) {
	p, err := newProcess("MariaDB", "mariadbd", "mariadb-server")
	if err != nil {
		return nil, err
	}
	m := &MariaDB{process: p}
	m.ready = func() error {
		return withDB(m.config(""), func(db *sql.DB) error { return db.Ping() })
	}
	m.args = m.arguments(mode)
	err = m.prepare()
	if err == nil {
		err = m.start()
	}
	if err != nil {
		os.RemoveAll(m.dir)
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

// socket returns a short path: the path of a socket has about 100 characters at
// most.
func (m *MariaDB) socket() string { return filepath.Join(m.dir, "s") }

// prepare fills the server's directory.
func (m *MariaDB) prepare() error {
	template, err := mariaDBTemplate(m.path)
	if err != nil {
		return err
	}
	if err := os.CopyFS(filepath.Join(m.dir, "data"), os.DirFS(template)); err != nil {
		return err
	}
	grants := fmt.Sprintf("CREATE USER IF NOT EXISTS '%[1]s'@'%%' IDENTIFIED BY '%[2]s';\n"+
		"GRANT ALL ON `%[3]s%%`.* TO '%[1]s'@'%%';\n", testUser, testPassword, testDatabase)
	return os.WriteFile(filepath.Join(m.dir, "init.sql"), []byte(grants), 0o600)
}

// logFileSize is the size of InnoDB's log. The template has the same: a server
// that finds another size rebuilds its log first.
const logFileSize = "32M"

// mariaDBTemplate returns a directory with the files of a new server, to copy.
// Making it takes seconds, so the user's cache holds one for each version.
func mariaDBTemplate(server string) (string, error) {
	version, err := exec.Command(server, "--no-defaults", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", server, err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	cache = filepath.Join(cache, "downstream-node-test")
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	template := filepath.Join(cache, fmt.Sprintf("mariadb-%.6x", sha256.Sum256(append(version, logFileSize...))))
	if _, err := os.Stat(template); err == nil {
		return template, nil
	}
	dir, err := os.MkdirTemp(cache, "making-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	if err := install(dir); err != nil {
		return "", err
	}
	// If another test process was faster, its files are as good.
	if err := os.Rename(dir, template); err != nil {
		if _, missing := os.Stat(template); missing != nil {
			return "", err
		}
	}
	return template, nil
}

func install(dir string) error {
	path, err := find("mariadb-install-db", "mariadb-server")
	if err != nil {
		return err
	}
	args := []string{
		"--no-defaults",
		"--datadir=" + dir,
		"--auth-root-authentication-method=normal",
		"--skip-test-db",
		"--innodb-log-file-size=" + logFileSize,
	}
	if os.Geteuid() == 0 {
		args = append(args, "--user=root")
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", path, err, out)
	}
	return nil
}

// NewDatabase makes an empty database for the test and returns its DSN.
func (m *MariaDB) NewDatabase(t testing.TB) (dsn string) {
	t.Helper()
	name := fmt.Sprintf("%s%d", testDatabase, m.n.Add(1))
	Must(t, m.admin("CREATE DATABASE "+name))
	t.Cleanup(func() {
		if m.running() {
			_ = m.admin("DROP DATABASE IF EXISTS " + name) // a failure only leaves the database until the server ends
		}
	})
	return m.config(name).FormatDSN()
}

// SetReadOnly makes the server refuse writes, as a demoted server does, or accept
// them again.
func (m *MariaDB) SetReadOnly(t testing.TB, readOnly bool) {
	t.Helper()
	m.SetGlobal(t, "read_only", strconv.FormatBool(readOnly))
}

// SetGlobal sets a variable of the server until it ends.
func (m *MariaDB) SetGlobal(t testing.TB, variable, value string) {
	t.Helper()
	Must(t, m.admin("SET GLOBAL "+variable+" = "+value))
}

// config is how tests connect.
func (m *MariaDB) config(database string) *mysql.Config {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd = testUser, testPassword
	cfg.Net, cfg.Addr = "tcp", fmt.Sprintf("127.0.0.1:%d", m.port)
	cfg.DBName = database
	return cfg
}

// admin runs a statement as root, which the socket admits without a password.
func (m *MariaDB) admin(statement string) error {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Net, cfg.Addr = "root", "unix", m.socket()
	return execute(cfg, statement)
}

func execute(cfg *mysql.Config, statement string) error {
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

// newDatabaseAt makes a database on a running server. Other test processes may
// make databases there at the same time.
func newDatabaseAt(t testing.TB, dsn string) string {
	t.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatalf("TEST_MYSQL_DSN: %v", err)
	}
	own := cfg.Clone()
	own.DBName = fmt.Sprintf("%s%d_%d", testDatabase, os.Getpid(), databases.Add(1))
	cfg.DBName = ""
	if err := execute(cfg, "CREATE DATABASE "+own.DBName); err != nil {
		t.Fatalf("TEST_MYSQL_DSN: %v", err)
	}
	t.Cleanup(func() {
		if err := execute(cfg, "DROP DATABASE IF EXISTS "+own.DBName); err != nil {
			t.Error(err)
		}
	})
	return own.FormatDSN()
}
