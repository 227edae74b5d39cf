package store

import (
	"database/sql"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/testenv"
)

func TestHostsOfTheDSN(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string][]string{
		"u:p@tcp(a:3306)/d":                               {"a:3306"},
		"u:p@tcp(a:3306,b:3307)/d":                        {"a:3306", "b:3307"},
		"u:p@tcp(a, [fd00::1]:3307 ,c)/d?timeout=1s":      {"a:3306", "[fd00::1]:3307", "c:3306"},
		"u:p@tcp(x,y)/@tcp(a:1,b:2)/d":                    {"a:1", "b:2"},
		"u:a,b\nc@unix(/run/a,b)/d":                       {"/run/a,b"},
		"tcp(a:1,b:2)/d?tls=true":                         {"a:1", "b:2"},
		"u:p@tcp(a:1,b:2)/d?connectionAttributes=x:tcp()": {"a:1", "b:2"},
	} {
		configs, err := mysqlConfigs(Config{DSN: config.Secret(dsn)}, newSlowLog(slog.Default()))
		if err != nil {
			t.Errorf("%s: %v", dsn, err)
			continue
		}
		var got []string
		for _, cfg := range configs {
			parsed, err := mysql.ParseDSN(cfg.FormatDSN()) // with the driver's default port
			must(t, err)
			got = append(got, parsed.Addr)
			if cfg.DBName != "d" || cfg.TLS != nil && cfg.TLS.ServerName != "" {
				t.Errorf("%s: %+v", dsn, cfg)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: servers %q, want %q", dsn, got, want)
		}
	}
	for dsn, want := range map[string]string{
		"u:p@tcp(a:1,)/d":      "a comma without a host",
		"u:p@tcp(a:1,b:2)/":    "names no database",
		"mysql://u:p@a,b/d":    "is a URL",
		"u:p@tcp(a:1,b:2)/d?x": "", // the driver ignores it
	} {
		_, err := mysqlConfigs(Config{DSN: config.Secret(dsn)}, newSlowLog(slog.Default()))
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", dsn, err, want)
		}
	}
}

// structured returns the configuration of the database that a DSN names, with its parts
// named one by one. The servers before come first.
func structured(t *testing.T, dsn string, before ...string) Config {
	t.Helper()
	parts, err := mysql.ParseDSN(dsn)
	must(t, err)
	cfg := config.Default[Config]()
	cfg.Driver, cfg.Addrs, cfg.Name = MySQL, append(before, parts.Addr), parts.DBName
	cfg.Username, cfg.Password = parts.User, config.Secret(parts.Passwd)
	must(t, config.Validate(&cfg))
	return cfg
}

// The first server does not exist. The migration and the transactions use the second.
func TestFirstServerRefuses(t *testing.T) {
	t.Parallel()
	for name, configure := range map[string]func(dsn, absent string) Config{
		"by its parts": func(dsn, absent string) Config { return structured(t, dsn, absent) },
		"in one DSN": func(dsn, absent string) Config {
			cfg := config.Default[Config]()
			cfg.Driver, cfg.DSN = MySQL, config.Secret(strings.Replace(dsn, "@tcp(", "@tcp("+absent+",", 1))
			return cfg
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fixture{Store: openStore(t, configure(testenv.NewDatabase(t), testenv.FreeAddress(t))), key: 1}
			must(t, f.Migrate(t.Context()))
			f.work(t)
		})
	}
}

// Connections move to another server if theirs is cut off from its cluster, is read-only
// or ends. They stay there until that one fails.
func TestServersFailOver(t *testing.T) {
	t.Parallel()
	a := testenv.StartMariaDB(t, testenv.Fast, testenv.GaleraOptions(t)...)
	b := testenv.StartMariaDB(t, testenv.Fast)
	dsn := a.NewDatabase(t)
	cfg := structured(t, dsn)
	first := cfg.Addrs[0]
	second := structured(t, b.NewDatabase(t)).Addrs[0]
	cfg.Addrs = append(cfg.Addrs, second)
	onSecond, err := mysql.ParseDSN(dsn)
	must(t, err)
	onSecond.Addr, onSecond.DBName = second, ""
	admin, err := sql.Open("mysql", onSecond.FormatDSN())
	must(t, err)
	defer admin.Close()
	_, err = admin.ExecContext(t.Context(), "CREATE DATABASE "+cfg.Name)
	must(t, err)

	s := openStore(t, cfg)
	// write returns the address of the server that has accepted a write.
	write := func() (string, error) {
		if err := s.write.WithContext(t.Context()).Exec("CREATE OR REPLACE TABLE written (id INT PRIMARY KEY)").Error; err != nil {
			return "", err
		}
		var port string
		err := s.write.WithContext(t.Context()).Raw("SELECT @@port").Scan(&port).Error
		return "127.0.0.1:" + port, err
	}
	wantServer := func(when, want string) {
		t.Helper()
		var got string
		var err error
		testenv.WaitFor(t, when, func() bool { got, err = write(); return err == nil })
		if got != want {
			t.Fatalf("%s: the connections go to %s, want %s", when, got, want)
		}
	}
	wantServer("both work", first)
	f := &fixture{Store: s, key: 1}
	must(t, f.Migrate(t.Context()))
	f.work(t)
	var wait string
	must(t, s.read.Raw("SELECT @@SESSION.wsrep_sync_wait").Scan(&wait).Error)
	if wait != "7" {
		t.Errorf("wsrep_sync_wait is %s; a Galera node may read old rows", wait)
	}

	a.CutOff(t, true)
	wantServer("the first is cut off", second)
	a.CutOff(t, false)
	wantServer("the first works again", second)
	b.SetReadOnly(t, true)
	wantServer("the second is read-only", first)
	a.CutOff(t, true)
	_, err = write() // drops the connection
	if err == nil {
		t.Error("a node that is cut off accepts a write")
	}
	err = s.Ping(t.Context())
	wantErr(t, err, ErrUnavailable)
	for _, part := range []string{first + ": ", "WSREP has not yet prepared node", second + ": the server is read-only"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want %q in it", err, part)
		}
	}
	b.SetReadOnly(t, false)
	wantServer("the second can write again", second)
	a.CutOff(t, false)
	b.Kill()
	wantServer("the second has ended", first)
}

// The server requires TLS and a certificate of the client.
func TestTLSToTheServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	testenv.WriteCertificate(t, cert, key, 1)
	m := testenv.StartMariaDB(t, testenv.Fast, "--ssl-cert="+cert, "--ssl-key="+key, "--ssl-ca="+cert)
	dsn := m.NewDatabase(t)
	parts, err := mysql.ParseDSN(dsn)
	must(t, err)
	m.Restore(t, dsn, []byte("ALTER USER '"+parts.User+"'@'%' REQUIRE X509;"))
	byDSN := config.Default[Config]()
	byDSN.Driver, byDSN.DSN = MySQL, config.Secret(dsn)
	for name, cfg := range map[string]Config{"by its parts": structured(t, dsn), "by DSN": byDSN, "after another server": structured(t, dsn, testenv.FreeAddress(t))} {
		for _, tt := range []struct {
			name  string
			files config.ClientTLS
			want  string // part of the error
		}{
			{"all files", config.ClientTLS{CAFile: cert, CertFile: cert, KeyFile: key}, ""},
			{"no TLS", config.ClientTLS{}, "Access denied"},
			{"no certificate", config.ClientTLS{CAFile: cert}, "Access denied"},
			{"no authority", config.ClientTLS{TLS: true, CertFile: cert, KeyFile: key}, "unknown authority"},
		} {
			cfg.ClientTLS = tt.files
			err := openStore(t, cfg).Ping(t.Context())
			if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s, %s: %v, want %q", name, tt.name, err, tt.want)
			}
		}
	}
	cfg := structured(t, dsn)
	cfg.CAFile = filepath.Join(dir, "absent")
	if _, err := Open(cfg, slog.Default()); err == nil || !strings.Contains(err.Error(), "database.caFile: ") {
		t.Errorf("absent file: %v", err)
	}
}
