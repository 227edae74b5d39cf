package testenv

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// MariaDB is a MariaDB server.
type MariaDB struct{ server }

// Tests connect as this user. The user owns the test databases and has no other
// rights, because a user with all rights may write to a read-only server.
const (
	testUser     = "node"
	testPassword = "node"
	testDatabase = "test_" // prefix of the names of databases
)

var sharedMariaDB = shared(func() (*MariaDB, error) { return launchMariaDB(Fast) })

// NewDatabase creates an empty database for the test and returns the DSN of the
// database. The database is dropped when the test ends.
func NewDatabase(t testing.TB) (dsn string) {
	t.Helper()
	dsn = os.Getenv("TEST_MYSQL_DSN")
	if dsn == "" {
		return sharedMariaDB(t).NewDatabase(t)
	}
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatalf("TEST_MYSQL_DSN: %v", err)
	}
	admin := cfg.Clone()
	admin.DBName = ""
	return newDatabase(t, admin, cfg)
}

// NewDatabase creates an empty database for the test and returns the DSN of the
// database.
func (m *MariaDB) NewDatabase(t testing.TB) (dsn string) {
	t.Helper()
	return newDatabase(t, m.admin(), m.user())
}

var databases atomic.Int64

// newDatabase creates a database with a name that no other test process uses.
func newDatabase(t testing.TB, admin, user *mysql.Config) (dsn string) {
	t.Helper()
	user.DBName = fmt.Sprintf("%s%d_%d", testDatabase, os.Getpid(), databases.Add(1))
	Must(t, execute(admin, "CREATE DATABASE "+user.DBName))
	t.Cleanup(func() {
		if err := execute(admin, "DROP DATABASE IF EXISTS "+user.DBName); err != nil {
			t.Log(err) // the test may have stopped the server
		}
	})
	return user.FormatDSN()
}

// StartMariaDB starts a server for one test. options are added to its command line.
func StartMariaDB(t testing.TB, mode Mode, options ...string) *MariaDB {
	t.Helper()
	m, err := launchMariaDB(mode, options...)
	return closeAfter(t, m, err)
}

func launchMariaDB(mode Mode, options ...string) (*MariaDB, error) {
	m, err := newMariaDB(mode, options...)
	if err != nil {
		return nil, err
	}
	if err := m.start(); err != nil {
		os.RemoveAll(m.dir)
		return nil, err
	}
	return m, nil
}

// newMariaDB prepares a server that the caller must start.
func newMariaDB(mode Mode, options ...string) (*MariaDB, error) {
	s, err := newServer(mode, "MariaDB", "mariadbd", "mariadb-server")
	if err != nil {
		return nil, err
	}
	m := &MariaDB{s}
	m.ready = func() error { return withDB(m.user(), (*sql.DB).Ping) }
	m.args = append(m.arguments(mode), options...)
	if err := m.prepare(); err != nil {
		os.RemoveAll(m.dir)
		return nil, err
	}
	return m, nil
}

func (m *MariaDB) arguments(mode Mode) []string {
	args := []string{
		"--no-defaults",
		"--datadir=" + filepath.Join(m.dir, "data"),
		"--tmpdir=" + m.dir, // a server that starts deletes the temporary tables of others in its folder
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

// socket returns the path of the server's socket. The path is short, because it may
// have at most about 100 characters.
func (m *MariaDB) socket() string { return filepath.Join(m.dir, "s") }

// prepare fills the server's directory with the files that the server needs.
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

// logFileSize is the size of InnoDB's log. The template has a log of the same size,
// because a server that finds another size first rebuilds its log.
const logFileSize = "32M"

// mariaDBTemplate returns a directory with the files of a new server; tests copy
// these files. Making the files takes seconds, so the user's cache directory
// contains a template for each version of the server.
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
	// If another test process was faster, its template is equally good.
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
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+filepath.Dir(dir)) // see MariaDB.arguments
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", path, err, out)
	}
	return nil
}

// SetReadOnly makes the server refuse writes, as a demoted server does, or makes it
// accept writes again.
func (m *MariaDB) SetReadOnly(t testing.TB, readOnly bool) {
	t.Helper()
	m.SetGlobal(t, "read_only", strconv.FormatBool(readOnly))
}

// SetGlobal sets a variable of the server until it ends.
func (m *MariaDB) SetGlobal(t testing.TB, variable, value string) {
	t.Helper()
	Must(t, execute(m.admin(), "SET GLOBAL "+variable+" = "+value))
}

// PrimaryOptions are the options of a server that has replicas.
var PrimaryOptions = []string{"--log-bin", "--server-id=1"}

// StartReplica starts a server that follows this one, which must have the PrimaryOptions
// and no other replica.
func (m *MariaDB) StartReplica(t testing.TB) *MariaDB {
	t.Helper()
	r := StartMariaDB(t, Fast, "--server-id=2")
	for _, statement := range []string{"CREATE USER replica IDENTIFIED BY 'replica'", "GRANT REPLICATION SLAVE ON *.* TO replica"} {
		Must(t, execute(m.admin(), statement))
	}
	Must(t, execute(r.admin(), fmt.Sprintf("CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = %d,"+
		" MASTER_USER = 'replica', MASTER_PASSWORD = 'replica', MASTER_USE_GTID = slave_pos, MASTER_SSL = 0", m.port)))
	r.Follow(t, true)
	return r
}

// Follow makes a replica follow its primary, or makes it stop.
func (m *MariaDB) Follow(t testing.TB, follow bool) {
	t.Helper()
	Must(t, execute(m.admin(), map[bool]string{true: "START SLAVE", false: "STOP SLAVE"}[follow]))
}

// DSN returns the DSN of a replica's copy of a primary's database.
func (m *MariaDB) DSN(t testing.TB, primary string) string {
	t.Helper()
	cfg := m.user()
	cfg.DBName = databaseOf(t, primary)
	return cfg.FormatDSN()
}

// Dump returns a backup of the database that a DSN names. The backup has one state of
// the database.
func (m *MariaDB) Dump(t testing.TB, dsn string) []byte {
	t.Helper()
	return m.client(t, nil, "mariadb-dump", "--single-transaction", databaseOf(t, dsn))
}

// Restore restores a backup that Dump returned, one table after the other, as
// operators do.
func (m *MariaDB) Restore(t testing.TB, dsn string, dump []byte) {
	t.Helper()
	m.client(t, dump, "mariadb", databaseOf(t, dsn))
}

func databaseOf(t testing.TB, dsn string) string {
	t.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	Must(t, err)
	return cfg.DBName
}

// client runs one of the server's client programs as root.
func (m *MariaDB) client(t testing.TB, input []byte, program string, args ...string) []byte {
	t.Helper()
	path, err := find(program, "mariadb-client")
	Must(t, err)
	cmd := exec.CommandContext(t.Context(), path, append([]string{"--no-defaults", "--user=root", "--socket=" + m.socket()}, args...)...)
	cmd.Stdin = bytes.NewReader(input)
	output, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		t.Fatalf("%s: %v\n%s", program, err, exit.Stderr)
	}
	Must(t, err)
	return output
}

// Query returns the rows that a statement selects in the database that a DSN names, each
// with its columns separated by tabs.
func (m *MariaDB) Query(t testing.TB, dsn, statement string) []string {
	t.Helper()
	output := m.client(t, nil, "mariadb", "--batch", "--skip-column-names", "--execute="+statement, databaseOf(t, dsn))
	return strings.Split(strings.TrimSpace(string(output)), "\n")
}

// user returns the connection settings of the tests.
func (m *MariaDB) user() *mysql.Config {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd = testUser, testPassword
	cfg.Net, cfg.Addr = "tcp", fmt.Sprintf("127.0.0.1:%d", m.port)
	return cfg
}

// admin returns the connection settings of root: the socket admits root without a
// password.
func (m *MariaDB) admin() *mysql.Config {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Net, cfg.Addr = "root", "unix", m.socket()
	return cfg
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
