package config

import (
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestBounds sets every number in turn to what no key can mean, so that a key
// that Validate forgets is found.
func TestBounds(t *testing.T) {
	t.Parallel()
	unbounded := Default()
	for i, f := range Fields(&unbounded) {
		c := Default()
		field := Fields(&c)[i]
		var spoil []func()
		switch {
		case f.Value.CanInt() && f.Key != "log.level":
			spoil = append(spoil, func() { field.Value.SetInt(-1) }, func() { field.Value.SetInt(math.MaxInt64) })
		case f.Value.CanFloat():
			spoil = append(spoil, func() { field.Value.SetFloat(-1) }, func() { field.Value.SetFloat(math.NaN()) }, func() { field.Value.SetFloat(math.Inf(1)) })
		}
		for _, set := range spoil {
			set()
			if err := c.Validate(); err == nil || !strings.Contains(err.Error(), f.Key+": ") {
				t.Errorf("%s may be %v", f.Key, field.Value)
			}
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		set  func(*Config)
		want []string // none for a valid configuration
	}{
		{"name with a brace", func(c *Config) { c.Node.Name = "a}b" }, []string{"node.name: "}},
		{"name of nothing", func(c *Config) { c.Node.Name = "" }, []string{"node.name: "}},
		{"name of a letter", func(c *Config) { c.Node.Name = "a" }, nil},
		{"name too long", func(c *Config) { c.Node.Name = strings.Repeat("a", 129) }, []string{"node.name: "}},
		{"listen without a port", func(c *Config) { c.API.Listen = "localhost" }, []string{"api.listen: "}},
		{"listen on a port by name", func(c *Config) { c.API.Listen = ":http" }, []string{"api.listen: "}},
		{"listen on IPv6", func(c *Config) { c.API.Listen = "[::1]:5000" }, nil},
		{"one listener twice", func(c *Config) { c.API.PrivateListen = c.API.Listen }, []string{"api.privateListen: "}},
		{"certificate without a key", func(c *Config) { c.API.TLS.CertFile = "x" }, []string{"api.tls: "}},
		{"certificate and key", func(c *Config) { c.API.TLS = TLS{CertFile: "x", KeyFile: "y"} }, nil},
		{"mapped network", func(c *Config) { c.API.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104")} }, []string{"api.trustedProxies: "}},
		{"writing ends before answering", func(c *Config) { c.API.WriteTimeout = c.API.AnswerTimeout }, []string{"api.writeTimeout: must be more than api.answerTimeout"}},
		{"rate without a burst", func(c *Config) { c.API.RateLimits.PerToken.Rate = 1 }, []string{"api.rateLimits.perToken.burst: "}},
		{"claim just at the limit", func(c *Config) { c.Worker.ClaimIdle = 2 * c.Worker.JobHardLimit }, []string{"worker.claimIdle: must be more than twice"}},
		{"claim just above the limit", func(c *Config) { c.Worker.ClaimIdle = 2*c.Worker.JobHardLimit + 1 }, nil},
		{"no such scheme", func(c *Config) { c.Heartbeat.Type = "swizzle" }, []string{`heartbeat.type: "swizzle" is not one of`}},
		{"no fraction", func(c *Config) { c.Heartbeat.CheckFraction = 0 }, nil},
		{"key named twice", func(c *Config) { c.Heartbeat.KeyFiles = []string{"a", "a"} }, []string{"heartbeat.keyFiles: "}},
		{"part of a second", func(c *Config) { c.Contracts.Interval = 1500 * time.Millisecond }, []string{"contracts.interval: must be whole seconds"}},
		{"largest below smallest", func(c *Config) { c.Inventory.MaxChunkSize = c.Inventory.MinChunkSize - 1 }, []string{"inventory.maxChunkSize: "}},
		{"no size between", func(c *Config) { c.Inventory.MinChunkSize, c.Inventory.MaxChunkSize = 1025, 2047 }, []string{"inventory: no power of 2 lies between 1025 and 2047"}},
		{"one size", func(c *Config) { c.Inventory.MinChunkSize, c.Inventory.MaxChunkSize = kib, kib }, nil},
		{"base of one", func(c *Config) { c.Inventory.Base = 1 }, []string{"inventory.base: "}},
		{"no such database", func(c *Config) { c.Database.Driver = "postgres" }, []string{"database.driver: "}},
		{"MySQL without a DSN", func(c *Config) { c.Database.Driver = MySQL }, []string{"database.dsn: ", "database.dsnFile", "DOWNSTREAM_DATABASE_DSN"}},
		{"SQLite without a path", func(c *Config) { c.Database.Path = "" }, []string{"database.path: "}},
		{"more idle than open", func(c *Config) { c.Database.MaxOpen = 1 }, []string{"database.maxIdle: "}},
		{"Redis by TLS", func(c *Config) { c.Redis.URL = "rediss://u:p@h:6379/1" }, nil},
		{"Redis by HTTP", func(c *Config) { c.Redis.URL = "http://h" }, []string{"redis.url: "}},
		{"Redis URL and addrs", func(c *Config) { c.Redis.URL, c.Redis.Addrs = "redis://h", []string{"h:1"} }, []string{"redis.addrs: "}},
		{"Redis without a host", func(c *Config) { c.Redis.Addrs = []string{":6379"} }, []string{"redis.addrs: "}},
		{"Sentinels", func(c *Config) { c.Redis.Addrs, c.Redis.MasterName = []string{"s1:26379", "s2:26379"}, "m" }, nil},
		{"Sentinels without addrs", func(c *Config) { c.Redis.MasterName = "m" }, []string{"redis.addrs: "}},
		{"Cluster with a number", func(c *Config) { c.Redis.Addrs, c.Redis.Cluster, c.Redis.DB = []string{"h:1"}, true, 1 }, []string{"redis.db: "}},
		{"Cluster with a master", func(c *Config) { c.Redis.Addrs, c.Redis.Cluster, c.Redis.MasterName = []string{"h:1"}, true, "m" }, []string{"redis.masterName: "}},
		{"log format", func(c *Config) { c.Log.Format = "xml" }, []string{"log.format: "}},
		{"all problems at once", func(c *Config) { c.Node.Name, c.Log.Format, c.Sweep.Batch = "", "", 0 }, []string{"node.name: ", "log.format: ", "sweep.batch: "}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := Default()
			tt.set(&c)
			err := c.Validate()
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
