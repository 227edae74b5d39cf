package store

import (
	"bytes"
	"crypto/rand"
	"io"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/testenv"
)

// Databases of small installations have settings that other software does not need.
// With each setting, the node must work, or must refuse to start with the name of
// the setting and the right value.
func TestServerSettings(t *testing.T) {
	t.Parallel()
	m := testenv.StartMariaDB(t, testenv.Fast, "--log-bin", "--server-id=1")
	tests := []struct {
		name, setting, value, reset string
		dsn                         string
		refusal                     []string // parts of the error; nil if the node works
	}{
		{name: "defaults"},
		{name: "smallest packet", setting: "max_allowed_packet", value: "1048576", reset: "16777216"},
		{name: "packet too small", setting: "max_allowed_packet", value: "524288", reset: "16777216", refusal: []string{"max_allowed_packet is 524288", "16M"}},
		{name: "binary log by row", setting: "binlog_format", value: "ROW", reset: "MIXED"},
		{name: "binary log by statement", setting: "binlog_format", value: "STATEMENT", reset: "MIXED", refusal: []string{"binlog_format is STATEMENT", "ROW"}},
		{name: "one prepared statement", setting: "max_prepared_stmt_count", value: "1", reset: "16382"},
		{name: "no prepared statement", setting: "max_prepared_stmt_count", value: "0", reset: "16382", refusal: []string{"max_prepared_stmt_count is 0", "16382"}},
		{name: "old character set in the DSN", dsn: "charset=utf8"},
		{name: "other collation in the DSN", dsn: "charset=latin1,utf8mb4&collation=utf8mb4_general_ci"},
		{name: "settings of the driver in the DSN", dsn: "maxAllowedPacket=5000&interpolateParams=false&multiStatements=false&columnsWithAlias=true&parseTime=true"},
	}
	for _, tt := range tests { // one after the other, because they share the server's settings
		t.Run(tt.name, func(t *testing.T) {
			cfg := config.Default[Config]()
			cfg.Driver, cfg.DSN = MySQL, config.Secret(m.NewDatabase(t))
			if tt.dsn != "" {
				cfg.DSN += config.Secret("?" + tt.dsn)
			}
			if tt.setting != "" {
				m.SetGlobal(t, tt.setting, tt.value)
				defer m.SetGlobal(t, tt.setting, tt.reset)
			}
			f := &fixture{Store: openStore(t, cfg), key: 1}
			err := f.Migrate(t.Context())
			if tt.refusal == nil {
				must(t, err)
				f.work(t)
				return
			}
			for _, part := range tt.refusal {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("error %v, want %q in it", err, part)
				}
			}
			if tables, err := f.read.Migrator().GetTables(); err != nil || len(tables) != 0 {
				t.Errorf("the refused migration left the tables %v, %v", tables, err)
			}
		})
	}
}

// The node does not start on TiDB, not even if TiDB has the version of a MySQL. The tests
// have no TiDB, so a MariaDB has the version or the comment of one.
func TestTiDBIsRefused(t *testing.T) {
	t.Parallel()
	versioned := testenv.StartMariaDB(t, testenv.Fast, "--version=8.0.11-TiDB-v8.5.4").NewDatabase(t)
	commented := testenv.MySQLProxy(t, testenv.NewDatabase(t), func(packet []byte) {
		if at := bytes.Index(packet, []byte("SHOW VARIABLES")); at >= 0 {
			testenv.Blank(packet, string(packet[at:]))
			copy(packet[at:], "SELECT 'version_comment', 'TiDB Server (Apache License 2.0) Community Edition'")
		}
	})
	for name, dsn := range map[string]string{"version": versioned, "version_comment": commented} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config.Default[Config]()
			cfg.Driver, cfg.DSN = MySQL, config.Secret(dsn)
			s := openStore(t, cfg)
			for _, err := range []error{s.CheckServer(t.Context()), s.Migrate(t.Context())} {
				wantErr(t, err, ErrUnsupported)
				for _, part := range []string{"TiDB (its " + name + " is", "SKIP LOCKED", "use MySQL 8"} {
					if err == nil || !strings.Contains(err.Error(), part) {
						t.Errorf("error %v, want %q in it", err, part)
					}
				}
			}
			if tables, err := s.read.Migrator().GetTables(); err != nil || len(tables) != 0 {
				t.Errorf("the refused migration left the tables %v, %v", tables, err)
			}
		})
	}
}

// The settings of a node that works must not refuse it later: a running node needs
// no prepared statements.
func TestNoPreparedStatementsWhileRunning(t *testing.T) {
	t.Parallel()
	m := testenv.StartMariaDB(t, testenv.Fast)
	cfg := config.Default[Config]()
	cfg.Driver, cfg.DSN = MySQL, config.Secret(m.NewDatabase(t))
	f := &fixture{Store: openStore(t, cfg), key: 1}
	must(t, f.Migrate(t.Context()))
	m.SetGlobal(t, "max_prepared_stmt_count", "0")
	must(t, f.CheckServer(t.Context()))
	f.work(t)
}

// work does every kind of transaction, with a tag of several parts whose bytes all
// need escaping.
func (f *fixture) work(t *testing.T) {
	t.Helper()
	must(t, f.CheckServer(t.Context()))
	token := f.token(t, "address é 世")
	tag := make([]byte, 3<<20)
	rand.Read(tag[:1<<20]) // the rest are zeros, which need two bytes each
	chunk := f.chunk(32 << 20)
	chunk.Tag = bytes.NewReader(tag)
	must(t, f.Stock(t.Context(), 0, chunk, start))
	out, err := f.HandOut(t.Context(), token, 1<<40, HandOutLimits{Contracts: 10}, interval, start)
	must(t, err)
	tags := f.Tags(t.Context(), out)
	defer tags.Close()
	in, err := tags.Next()
	must(t, err)
	if read, err := io.ReadAll(in); err != nil || !bytes.Equal(read, tag) {
		t.Errorf("read %d bytes of the tag, %v", len(read), err)
	}
	contract, err := f.Contract(t.Context(), token.ID, out[0].FileHash)
	must(t, err)
	f.commit(t, onCopy(&contract, true, start))
	_, err = f.Advance(t.Context(), token.ID, []int64{contract.ID}, start.Add(interval), issue)
	must(t, err)
	_, err = f.Expire(t.Context(), start.Add(3*interval), 10)
	must(t, err)
	must(t, f.FoldRecord(t.Context(), start, config.Default[RecordConfig]()))
	beat(t, f.NewProcess("one", "api"))
	f.checkInvariant(t)
}
