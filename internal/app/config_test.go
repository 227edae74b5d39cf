package app

import (
	"io"
	"log/slog"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/apiserver"
	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/store"
)

// TestEveryNumberHasARange sets every number to values that no configuration key
// allows. It finds configuration keys without a range tag.
func TestEveryNumberHasARange(t *testing.T) {
	t.Parallel()
	defaults := Default()
	for i, f := range config.Fields(&defaults) {
		c := Default()
		field := config.Fields(&c)[i]
		var invalid []func()
		switch {
		case f.Value.CanInt() && f.Value.Type() != reflect.TypeFor[slog.Level]():
			invalid = append(invalid, func() { field.Value.SetInt(-1) }, func() { field.Value.SetInt(math.MaxInt64) })
		case f.Value.CanFloat():
			invalid = append(invalid, func() { field.Value.SetFloat(-1) }, func() { field.Value.SetFloat(math.NaN()) }, func() { field.Value.SetFloat(math.Inf(1)) })
		}
		for _, set := range invalid {
			set()
			if err := config.Validate(&c); err == nil || !strings.Contains(err.Error(), f.Key+": ") {
				t.Errorf("%s can be %v", f.Key, field.Value)
			}
		}
	}
}

func TestConfigRules(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		set  func(*Config)
		want []string // nil for a valid configuration
	}{
		{"name with a brace", func(c *Config) { c.Node.Name = "a}b" }, []string{"node.name: "}},
		{"empty name", func(c *Config) { c.Node.Name = "" }, []string{"node.name: "}},
		{"name of one letter", func(c *Config) { c.Node.Name = "a" }, nil},
		{"name too long", func(c *Config) { c.Node.Name = strings.Repeat("a", 129) }, []string{"node.name: "}},
		{"listen without a port", func(c *Config) { c.API.Listen = "localhost" }, []string{"api.listen: "}},
		{"listen on a named port", func(c *Config) { c.API.Listen = ":http" }, []string{"api.listen: "}},
		{"listen on IPv6", func(c *Config) { c.API.Listen = "[::1]:5000" }, nil},
		{"both listeners on one address", func(c *Config) { c.API.Private.Listen = c.API.Listen }, []string{"api.privateListen: "}},
		{"certificate without a key", func(c *Config) { c.API.TLS.CertFile = "x" }, []string{"api.tls: "}},
		{"certificate and key", func(c *Config) { c.API.TLS = apiserver.TLSConfig{CertFile: "x", KeyFile: "y"} }, nil},
		{"IPv4 network in IPv6 form", func(c *Config) { c.API.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104")} }, []string{"api.trustedProxies: "}},
		{"write timeout not above answer timeout", func(c *Config) { c.API.WriteTimeout = c.API.AnswerTimeout }, []string{"api.writeTimeout: must be more than api.answerTimeout"}},
		{"rate without a burst", func(c *Config) { c.API.RateLimits.PerToken.Burst = 0 }, []string{"api.rateLimits.perToken.burst: "}},
		{"claim at the limit", func(c *Config) { c.Worker.ClaimIdle = 2 * c.Worker.JobHardLimit }, []string{"worker.claimIdle: must be more than twice"}},
		{"claim just above the limit", func(c *Config) { c.Worker.ClaimIdle = 2*c.Worker.JobHardLimit + 1 }, nil},
		{"unknown scheme", func(c *Config) { c.Heartbeat.Type = "swizzle" }, []string{`heartbeat.type: "swizzle" is not one of`}},
		{"fraction of zero", func(c *Config) { c.Heartbeat.CheckFraction = 0 }, nil},
		{"detection", func(c *Config) { c.Heartbeat.Detection = detection(0.01, time.Hour, 0.99) }, nil},
		{"detection without a probability", func(c *Config) { c.Heartbeat.Detection = detection(0.01, time.Hour, 0) }, []string{"heartbeat.detection: heartbeat.detection.probability must be more than 0"}},
		{"detection of everything", func(c *Config) { c.Heartbeat.Detection = detection(1, time.Hour, 1) }, []string{"heartbeat.detection.probability: 100%"}},
		{"loss of more than a file", func(c *Config) { c.Heartbeat.Detection = detection(1.01, time.Hour, 0.9) }, []string{"heartbeat.detection.lost: must be from 0 to 1"}},
		{"detection and a fraction", func(c *Config) {
			c.Heartbeat.Detection, c.Heartbeat.CheckFraction = detection(0.01, time.Hour, 0.99), 0.02
		}, []string{"heartbeat.detection: both this section and heartbeat.checkFraction (0.02) are set"}},
		{"detection before the first challenge", func(c *Config) { c.Heartbeat.Detection = detection(0.01, time.Minute, 0.99) }, []string{"heartbeat.detection.within: 1m0s is shorter than contracts.interval (5m0s)"}},
		{"detection within a Merkle contract", func(c *Config) {
			c.Heartbeat.Type, c.Heartbeat.Detection = heartbeat.Merkle, detection(0.01, 256*5*time.Minute, 0.99)
		}, nil},
		{"detection after the end of a Merkle contract", func(c *Config) {
			c.Heartbeat.Type, c.Heartbeat.Detection = heartbeat.Merkle, detection(0.01, 257*5*time.Minute, 0.99)
		}, []string{"heartbeat.detection.within: 21h25m0s has 257 challenges of 5m0s", "ends after heartbeat.challenges (256); set at most 21h20m0s"}},
		{"detection long after the first challenges of Swizzle", func(c *Config) { c.Heartbeat.Detection = detection(0.01, 300*time.Hour, 0.99) }, nil},
		{"repeated key file", func(c *Config) { c.Heartbeat.KeyFiles = []string{"a", "a"} }, []string{"heartbeat.keyFiles: "}},
		{"fraction of a second", func(c *Config) { c.Contracts.Interval = 1500 * time.Millisecond }, []string{"contracts.interval: must be whole seconds"}},
		{"largest below smallest", func(c *Config) { c.Inventory.MaxChunkSize = c.Inventory.MinChunkSize - 1 }, []string{"inventory.maxChunkSize: "}},
		{"no size in the range", func(c *Config) { c.Inventory.MinChunkSize, c.Inventory.MaxChunkSize = 1025, 2047 }, []string{"inventory: no power of 2 lies between 1025 and 2047"}},
		{"one size", func(c *Config) { c.Inventory.MinChunkSize, c.Inventory.MaxChunkSize = 1<<10, 1<<10 }, nil},
		{"base of one", func(c *Config) { c.Inventory.Base = 1 }, []string{"inventory.base: "}},
		{"no farmer for a file", func(c *Config) { c.Inventory.Redundancy = 0 }, []string{"inventory.redundancy: must be from 1 to 8"}},
		{"eight farmers for a file", func(c *Config) { c.Inventory.Redundancy = 8 }, nil},
		{"nine farmers for a file", func(c *Config) { c.Inventory.Redundancy = 9 }, []string{"inventory.redundancy: must be from 1 to 8"}},
		{"unknown database", func(c *Config) { c.Database.Driver = "postgres" }, []string{"database.driver: "}},
		{"MySQL without a DSN", func(c *Config) { c.Database.Driver = store.MySQL }, []string{"database.dsn: ", "database.dsnFile", "DOWNSTREAM_DATABASE_DSN"}},
		{"MySQL by its parts", structured(func(*store.Config) {}), nil},
		{"several servers", structured(func(c *store.Config) { c.Addrs = []string{"a:3306", "[::1]:3306"} }), nil},
		{"a DSN and servers", structured(func(c *store.Config) { c.DSN = "u:p@tcp(h)/d" }), []string{"database.addrs: must be empty if there is a database.dsn"}},
		{"a server without a port", structured(func(c *store.Config) { c.Addrs = []string{"a"} }), []string{"database.addrs: \"a\" is not host:port"}},
		{"a server without a host", structured(func(c *store.Config) { c.Addrs = []string{":3306"} }), []string{"database.addrs: \":3306\" has no host"}},
		{"servers without a database", structured(func(c *store.Config) { c.Name = "" }), []string{"database.name: is required with database.addrs"}},
		{"servers without a user", structured(func(c *store.Config) { c.Username = "" }), []string{"database.username: is required with database.addrs; set it, or name a file with database.usernameFile"}},
		{"a user without servers", structured(func(c *store.Config) { c.Addrs = nil }), []string{"database.addrs: must name the servers"}},
		{"a client certificate without its key", structured(func(c *store.Config) { c.CertFile = "x" }), []string{"database.certFile: needs database.keyFile"}},
		{"a key without a certificate", func(c *Config) { c.Redis.Server.KeyFile = "x" }, []string{"redis.certFile: needs redis.keyFile"}},
		{"SQLite without a path", func(c *Config) { c.Database.Path = "" }, []string{"database.path: "}},
		{"replica of SQLite", func(c *Config) { c.Database.ReadDSN = "x" }, []string{"database.readDSN: ", "is only for mysql"}},
		{"more idle than open", func(c *Config) { c.Database.MaxOpen = 1 }, []string{"database.maxIdle: "}},
		{"Redis with TLS", func(c *Config) { c.Redis.Server.URL = "rediss://u:p@h:6379/1" }, nil},
		{"Redis with HTTP", func(c *Config) { c.Redis.Server.URL = "http://h" }, []string{"redis.url: "}},
		{"Redis URL and addrs", func(c *Config) { c.Redis.Server.URL, c.Redis.Server.Addrs = "redis://h", []string{"h:1"} }, []string{"redis.addrs: "}},
		{"Redis without a host", func(c *Config) { c.Redis.Server.Addrs = []string{":6379"} }, []string{"redis.addrs: "}},
		{"Sentinels", func(c *Config) {
			c.Redis.Server.Addrs, c.Redis.Server.MasterName = []string{"s1:26379", "s2:26379"}, "m"
		}, nil},
		{"Sentinels without addrs", func(c *Config) { c.Redis.Server.MasterName = "m" }, []string{"redis.addrs: "}},
		{"Cluster with a number", func(c *Config) {
			c.Redis.Server.Addrs, c.Redis.Server.Cluster, c.Redis.Server.DB = []string{"h:1"}, true, 1
		}, []string{"redis.db: "}},
		{"Cluster with a master", func(c *Config) {
			c.Redis.Server.Addrs, c.Redis.Server.Cluster, c.Redis.Server.MasterName = []string{"h:1"}, true, "m"
		}, []string{"redis.masterName: "}},
		{"unknown log format", func(c *Config) { c.Log.Format = "xml" }, []string{"log.format: "}},
		{"several problems", func(c *Config) { c.Node.Name, c.Log.Format, c.Sweep.Batch = "", "", 0 }, []string{"node.name: ", "log.format: ", "sweep.batch: "}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := Default()
			tt.set(&c)
			err := config.Validate(&c)
			if tt.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, tt.want...)
		})
	}
}

// structured changes a configuration with a MySQL that is named by its parts.
func structured(change func(*store.Config)) func(*Config) {
	return func(c *Config) {
		d := &c.Database
		d.Driver, d.Addrs, d.Name, d.Username = store.MySQL, []string{"a:3306"}, "d", "u"
		change(d)
	}
}

func detection(lost config.Fraction, within time.Duration, probability config.Fraction) keyring.DetectionConfig {
	return keyring.DetectionConfig{Lost: lost, Within: within, Probability: probability}
}

func TestDefaultsAreValid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Config{"default": Default(), "standalone": StandaloneDefaults("data", 0)} {
		if err := config.Validate(&c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c := StandaloneDefaults("data", 0); c.Access.Whitelist || c.Access.Signatures {
		t.Error("standalone restricts who may have a token")
	}
}

func TestReplicable(t *testing.T) {
	t.Parallel()
	c := Default()
	wantError(t, c.Replicable(), "database.driver: ", "redis: ", "heartbeat.keyFiles: ")
	c.Database.Driver = store.MySQL
	c.Redis.Server.URL = "redis://r:6379"
	c.Heartbeat.KeyFiles = []string{"/k"}
	if err := c.Replicable(); err != nil {
		t.Error(err)
	}
}

// A stuck worker's jobs must be taken over while their requests wait.
func TestTakeoverInTime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		answer    time.Duration
		claimIdle time.Duration
		want      []string
	}{
		{"takeover before the timeout", 20 * time.Second, 12 * time.Second, nil},
		{"takeover at the timeout", 20 * time.Second, 20 * time.Second, []string{"worker.claimIdle", "api.answerTimeout (20s)", "it is 20s"}},
		{"takeover after the timeout", 20 * time.Second, 30 * time.Second, []string{"worker.claimIdle", "it is 30s"}},
		{"the defaults", Default().API.AnswerTimeout, Default().Worker.ClaimIdle, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := StandaloneDefaults(t.TempDir(), 0)
			c.API.AnswerTimeout, c.Worker.ClaimIdle = tt.answer, tt.claimIdle
			if tt.want == nil {
				if err := c.TakeoverInTime(); err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, ServeStandalone(t.Context(), c, slog.New(slog.DiscardHandler), t.TempDir(), 0, io.Discard), tt.want...)
		})
	}
}

// wantError fails the test unless the text of err contains every part.
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
