package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// none is an environment without variables; nil would be the process's own.
var none = []string{}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultsAreValid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Config{"default": Default(), "standalone": Standalone()} {
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c := Standalone(); c.Access.Whitelist || c.Access.Signatures {
		t.Error("standalone does not let everybody in")
	}
}

func TestLoadWithoutFileIsDefault(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", write(t, ""), write(t, "# nothing\n"), write(t, "---\nnode:\napi:\n")} {
		c, err := Load(path, none)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(c, Default()) {
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
			c, err := Load(write(t, tt.file), tt.environ)
			if err != nil {
				t.Fatal(err)
			}
			if c.Contracts.Interval != tt.want {
				t.Errorf("interval is %v, want %v", c.Contracts.Interval, tt.want)
			}
		})
	}
}

func TestNilEnvironIsTheProcess(t *testing.T) {
	t.Setenv("DOWNSTREAM_NODE_NAME", "from-the-process")
	c, err := Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Node.Name != "from-the-process" {
		t.Errorf("name is %q", c.Node.Name)
	}
}

func TestLoadOverKeepsBase(t *testing.T) {
	t.Parallel()
	c, err := LoadOver(Standalone(), write(t, "access: {signatures: true}"), none)
	if err != nil {
		t.Fatal(err)
	}
	if c.Access.Whitelist || !c.Access.Signatures {
		t.Errorf("access is %+v, want the file's signatures over the base's", c.Access)
	}
}

// TestEveryKind reads a value of each type from the file and, the same, from
// the environment.
func TestEveryKind(t *testing.T) {
	t.Parallel()
	const file = `
node: {name: eu-1.example}
api:
  pprof: true
  trustedProxies: [10.0.0.0/8, "fd00::/8"]
  maxBody: 1MiB
  maxProofs: 7
  rateLimits: {perIP: {rate: 0.5, burst: 2}}
heartbeat: {type: Merkle, keyFiles: [/k/new, /k/old]}
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
		"DOWNSTREAM_CONTRACTS_INTERVAL=1m",
		"DOWNSTREAM_CONTRACTS_BYTES_PER_ADDRESS=65536",
		"DOWNSTREAM_ACCESS_MIN_BALANCE=9007199254740992",
		"DOWNSTREAM_LOG_LEVEL=debug",
		"DOWNSTREAM_LOG_FORMAT=text",
		// What Kubernetes makes of a Service by the name of downstream-api.
		"DOWNSTREAM_API_SERVICE_HOST=10.1.2.3",
		"DOWNSTREAM_API_PORT=tcp://10.1.2.3:5000",
	}
	fromFile, err := Load(write(t, file), none)
	if err != nil {
		t.Fatal(err)
	}
	fromEnviron, err := Load("", environ)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(fromFile, fromEnviron) {
		t.Errorf("the file gives\n%+v\nand the environment\n%+v", fromFile, fromEnviron)
	}
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	if got := fromFile.API.TrustedProxies; !reflect.DeepEqual(got, want) {
		t.Errorf("trustedProxies is %v, want %v", got, want)
	}
	if got := fromFile.API.MaxBody; got != mib {
		t.Errorf("maxBody is %v, want 1MiB", got)
	}
}

func TestEnvironProblems(t *testing.T) {
	t.Parallel()
	_, err := Load("", []string{
		"DOWNSTREAM_API_MAX_PROOFS=many",
		"DOWNSTREAM_CONTRACTS_INTERVAL=300",
		"DOWNSTREAM_API_TRUSTED_PROXIES=10.0.0.0",
	})
	wantError(t, err, "DOWNSTREAM_API_MAX_PROOFS: ", "DOWNSTREAM_CONTRACTS_INTERVAL: ", "DOWNSTREAM_API_TRUSTED_PROXIES: ")
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
		want    Secret
	}{
		{"file named in the file", file, none, dsn},
		{"file named in the environment", "database: {driver: mysql}", []string{"DOWNSTREAM_DATABASE_DSN_FILE=" + path}, dsn},
		{"environment", "database: {driver: mysql}", []string{"DOWNSTREAM_DATABASE_DSN=" + dsn}, dsn},
		{"environment over a file", file, []string{"DOWNSTREAM_DATABASE_DSN=other"}, "other"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := Load(write(t, tt.file), tt.environ)
			if err != nil {
				t.Fatal(err)
			}
			if c.Database.DSN != tt.want {
				t.Errorf("dsn is %q, want %q", string(c.Database.DSN), string(tt.want))
			}
		})
	}
}

func TestSecretFileProblems(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, path, want string }{
		{"absent", filepath.Join(t.TempDir(), "absent"), "no such file"},
		{"empty", write(t, "\n"), "is empty"},
		{"a directory", t.TempDir(), "directory"},
		{"too large", write(t, strings.Repeat("x", maxFile+1)), "is larger than 1MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Load("", []string{"DOWNSTREAM_REDIS_URL_FILE=" + tt.path})
			wantError(t, err, "redis.urlFile: ", tt.want)
		})
	}
}

func TestLoadAbsentFile(t *testing.T) {
	t.Parallel()
	_, err := Load(filepath.Join(t.TempDir(), "absent.yaml"), none)
	wantError(t, err, "absent.yaml")
}

func TestReplicable(t *testing.T) {
	t.Parallel()
	c := Default()
	wantError(t, c.Replicable(), "database.driver: ", "redis: ", "heartbeat.keyFiles: ")
	c.Database.Driver = MySQL
	c.Redis.URL = "redis://r:6379"
	c.Heartbeat.KeyFiles = []string{"/k"}
	if err := c.Replicable(); err != nil {
		t.Error(err)
	}
}

// wantError fails the test unless err holds each of the parts.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error %q says nothing of %q", err, part)
		}
	}
}
