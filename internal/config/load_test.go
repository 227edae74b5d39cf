package config_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/config"
)

// none is an environment without variables.
var none []string

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadWithoutValuesIsDefault(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", write(t, ""), write(t, "# nothing\n"), write(t, "---\nnode:\napi:\n")} {
		c, err := config.Load(app.Default(), path, none)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(c, app.Default()) {
			t.Errorf("%q: %+v, want the defaults", path, c)
		}
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	const file = "contracts:\n  interval: 60s\n"
	tests := []struct {
		name    string
		file    string
		environ []string
		want    time.Duration
	}{
		{"default", "", none, 300 * time.Second},
		{"file over default", file, none, 60 * time.Second},
		{"environment over default", "", []string{"DOWNSTREAM_CONTRACTS_INTERVAL=5s"}, 5 * time.Second},
		{"environment over file", file, []string{"DOWNSTREAM_CONTRACTS_INTERVAL=5s"}, 5 * time.Second},
		{"an empty variable counts as absent", file, []string{"DOWNSTREAM_CONTRACTS_INTERVAL="}, 60 * time.Second},
		{"the last of two variables wins", "", []string{"DOWNSTREAM_CONTRACTS_INTERVAL=5s", "DOWNSTREAM_CONTRACTS_INTERVAL=6s"}, 6 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := config.Load(app.Default(), write(t, tt.file), tt.environ)
			if err != nil {
				t.Fatal(err)
			}
			if c.Contracts.Interval != tt.want {
				t.Errorf("interval is %v, want %v", c.Contracts.Interval, tt.want)
			}
		})
	}
}

func TestEnvironmentOfTheProcess(t *testing.T) {
	t.Setenv("DOWNSTREAM_NODE_NAME", "from-the-process")
	c, err := config.Load(app.Default(), "", os.Environ())
	if err != nil {
		t.Fatal(err)
	}
	if c.Node.Name != "from-the-process" {
		t.Errorf("name is %q", c.Node.Name)
	}
}

func TestLoadKeepsBase(t *testing.T) {
	t.Parallel()
	c, err := config.Load(app.StandaloneDefaults("data", 0), write(t, "access: {signatures: true}"), none)
	if err != nil {
		t.Fatal(err)
	}
	if c.Access.Whitelist || !c.Access.Signatures {
		t.Errorf("access is %+v, want the whitelist of the base and the signatures of the file", c.Access)
	}
}

// TestEveryType reads the same value of each type from the file and from the
// environment.
func TestEveryType(t *testing.T) {
	t.Parallel()
	const file = `
node: {name: eu-1.example}
api:
  pprof: true
  trustedProxies: [10.0.0.0/8, "fd00::/8"]
  maxBody: 1MiB
  maxProofs: 7
  rateLimits: {perIP: {rate: 0.5, burst: 2}}
heartbeat: {type: Merkle, keyFiles: [/k/new, /k/old], detection: {lost: 1%, within: 1h, probability: 0.99}}
contracts: {interval: 1m, bytesPerAddress: 65536}
access: {minBalance: 9007199254740992}
log: {level: debug, format: text}
`
	environ := []string{
		"DOWNSTREAM_NODE_NAME=eu-1.example",
		"DOWNSTREAM_API_PPROF=true",
		"DOWNSTREAM_API_TRUSTED_PROXIES=10.0.0.0/8, fd00::/8",
		"DOWNSTREAM_API_MAX_BODY=1MiB",
		"DOWNSTREAM_API_MAX_PROOFS=7",
		"DOWNSTREAM_API_RATE_LIMITS_PER_IP_RATE=0.5",
		"DOWNSTREAM_API_RATE_LIMITS_PER_IP_BURST=2",
		"DOWNSTREAM_HEARTBEAT_TYPE=Merkle",
		"DOWNSTREAM_HEARTBEAT_KEY_FILES=/k/new,/k/old",
		"DOWNSTREAM_HEARTBEAT_DETECTION_LOST=0.01",
		"DOWNSTREAM_HEARTBEAT_DETECTION_WITHIN=60m",
		"DOWNSTREAM_HEARTBEAT_DETECTION_PROBABILITY=99%",
		"DOWNSTREAM_CONTRACTS_INTERVAL=1m",
		"DOWNSTREAM_CONTRACTS_BYTES_PER_ADDRESS=65536",
		"DOWNSTREAM_ACCESS_MIN_BALANCE=9007199254740992",
		"DOWNSTREAM_LOG_LEVEL=debug",
		"DOWNSTREAM_LOG_FORMAT=text",
		// Kubernetes makes these for a Service with the name downstream-api.
		"DOWNSTREAM_API_SERVICE_HOST=10.1.2.3",
		"DOWNSTREAM_API_PORT=tcp://10.1.2.3:5000",
	}
	fromFile, err := config.Load(app.Default(), write(t, file), none)
	if err != nil {
		t.Fatal(err)
	}
	fromEnviron, err := config.Load(app.Default(), "", environ)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(fromFile, fromEnviron) {
		t.Errorf("the file sets\n%+v\nand the environment sets\n%+v", fromFile, fromEnviron)
	}
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	if got := fromFile.API.TrustedProxies; !reflect.DeepEqual(got, want) {
		t.Errorf("trustedProxies is %v, want %v", got, want)
	}
	if got := fromFile.API.MaxBody; got != 1<<20 {
		t.Errorf("maxBody is %v, want 1MiB", got)
	}
}

func TestEnvironProblems(t *testing.T) {
	t.Parallel()
	_, err := config.Load(app.Default(), "", []string{
		"DOWNSTREAM_API_MAX_PROOFS=many",
		"DOWNSTREAM_CONTRACTS_INTERVAL=300",
		"DOWNSTREAM_API_TRUSTED_PROXIES=10.0.0.0",
	})
	wantError(t, err, "DOWNSTREAM_API_MAX_PROOFS: ", "DOWNSTREAM_CONTRACTS_INTERVAL: ", "DOWNSTREAM_API_TRUSTED_PROXIES: ")
}

// TestProblemsNameTheirOrigin checks that a value that is read but not valid is named with the
// line or the variable that set it.
func TestProblemsNameTheirOrigin(t *testing.T) {
	t.Parallel()
	path := write(t, "api:\n  answerTimeout: 2m\n  writeTimeout: 1m\n  tls:\n    certFile: cert.pem\nlog: {level: debug}\n")
	_, err := config.Load(app.Default(), path, []string{"DOWNSTREAM_API_MAX_PROOFS=0", "DOWNSTREAM_NODE_NAME=A", "DOWNSTREAM_LOG_FORMAT=xml"})
	wantError(t, err,
		path+" line 3: api.writeTimeout: must be more than",
		path+" line 5: api.tls: set both",
		"\nDOWNSTREAM_API_MAX_PROOFS: api.maxProofs: must be from 1",
		"\nDOWNSTREAM_NODE_NAME: node.name: ",
		`DOWNSTREAM_LOG_FORMAT: log.format: "xml" is not one of [json text]`)
	_, err = config.Load(app.Default(), write(t, "log: {level: loud}"), none)
	wantError(t, err, `line 1: log.level: "loud" is not debug, info, warn or error`)
	_, err = config.Load(app.Default(), write(t, "\nredis:\n  urlFile: absent\n"), none)
	wantError(t, err, " line 3: redis.urlFile: ", "absent")
	_, err = config.Load(app.Default(), write(t, "api: {trustedProxies: [10.0.0.0]}"), none)
	wantError(t, err, `"10.0.0.0" is not a network such as 10.0.0.0/8`)
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	const dsn = "u:hunter2@tcp(db:3306)/downstream"
	path := write(t, dsn+"\n")
	file := "database: {driver: mysql, dsnFile: " + path + "}"
	tests := []struct {
		name    string
		file    string
		environ []string
		want    config.Secret
	}{
		{"file named in the file", file, none, dsn},
		{"file named in the environment", "database: {driver: mysql}", []string{"DOWNSTREAM_DATABASE_DSN_FILE=" + path}, dsn},
		{"file with a byte order mark", "database: {driver: mysql, dsnFile: " + write(t, "\xef\xbb\xbf"+dsn+"\r\n") + "}", none, dsn},
		{"environment", "database: {driver: mysql}", []string{"DOWNSTREAM_DATABASE_DSN=" + dsn}, dsn},
		{"environment over a file", file, []string{"DOWNSTREAM_DATABASE_DSN=other"}, "other"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := config.Load(app.Default(), write(t, tt.file), tt.environ)
			if err != nil {
				t.Fatal(err)
			}
			if c.Database.DSN != tt.want {
				t.Errorf("dsn is %q, want %q", string(c.Database.DSN), string(tt.want))
			}
		})
	}
}

// Secrets of Kubernetes hold user names too, so these also come from files. A value in
// the configuration is used before a file.
func TestUserNamesFromFiles(t *testing.T) {
	t.Parallel()
	file := "database: {driver: mysql, addrs: ['db:3306'], name: d, usernameFile: " + write(t, "one\n") + ", passwordFile: " + write(t, "pass\n") + "}\n" +
		"redis: {addrs: ['s:26379'], masterName: m, username: given, usernameFile: " + write(t, "not read") + ", sentinelUsernameFile: " + write(t, "two") + "}"
	c, err := config.Load(app.Default(), write(t, file), none)
	if err != nil {
		t.Fatal(err)
	}
	if c.Database.Username != "one" || c.Database.Password != "pass" || c.Redis.Server.Username != "given" || c.Redis.Server.SentinelUsername != "two" {
		t.Errorf("%+v %+v", c.Database, c.Redis.Server)
	}
	_, err = config.Load(app.Default(), "", []string{"DOWNSTREAM_DATABASE_USERNAME_FILE=absent"})
	wantError(t, err, "database.usernameFile: ", "absent")
}

func TestSecretFileProblems(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, path, want string }{
		{"absent", filepath.Join(t.TempDir(), "absent"), "no such file"},
		{"empty", write(t, "\n"), "is empty"},
		{"only a byte order mark", write(t, "\xef\xbb\xbf\n"), "is empty"},
		{"UTF-16", write(t, "\xff\xfer\x00e\x00d\x00"), "is encoded in UTF-16; save it as UTF-8"},
		{"a directory", t.TempDir(), "directory"},
		{"too large", write(t, strings.Repeat("x", config.MaxFile+1)), "is larger than 1MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(app.Default(), "", []string{"DOWNSTREAM_REDIS_URL_FILE=" + tt.path})
			wantError(t, err, "redis.urlFile: ", tt.want)
		})
	}
}

func TestLoadAbsentFile(t *testing.T) {
	t.Parallel()
	_, err := config.Load(app.Default(), filepath.Join(t.TempDir(), "absent.yaml"), none)
	wantError(t, err, "absent.yaml")
}

// wantError fails the test if err does not contain each of the parts.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that contains %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not contain %q", err, part)
		}
	}
}

func TestUnknownVariables(t *testing.T) {
	t.Parallel()
	got := config.UnknownVariables(new(app.Config), []string{
		"DOWNSTREAM_API_LISTEN=:1", "DOWNSTREAM_CONFIG=node.yaml", "HOME=/root", "DOWNSTREAM_EMPTY=",
		"DOWNSTREAM_API_SERVICE_HOST=10.0.0.1", "DOWNSTREAM_API_PORT_5000_TCP_ADDR=10.0.0.1", "DOWNSTREAM_API_PORT=tcp://10.0.0.1:5000",
		"DOWNSTREAM_API_PRIVATELISTEN=:2",
	})
	if want := []string{"DOWNSTREAM_API_PRIVATELISTEN"}; !slices.Equal(got, want) {
		t.Errorf("unknown: %v, want %v", got, want)
	}
}
