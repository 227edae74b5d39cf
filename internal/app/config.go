package app

import (
	"errors"
	"net"
	"net/url"
	"regexp"

	"github.com/driveshare/downstream-node/apiserver"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/geo"
	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/program"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/workers"
)

// Config is the configuration of a node. Each component declares its own keys.
// docs/configuration.md is made from the comments on the fields.
type Config struct {
	// The node as a whole.
	Node NodeConfig `yaml:"node"`
	// The HTTP server that farmers call.
	API apiserver.Config `yaml:"api"`
	// The verification workers.
	Worker workers.Config `yaml:"worker"`
	// The proof-of-storage scheme and its keys.
	Heartbeat keyring.Config `yaml:"heartbeat"`
	// What farmers get, and the limits on it.
	Contracts apiserver.ContractsConfig `yaml:"contracts"`
	// Who may have a token.
	Access apiserver.AccessConfig `yaml:"access"`
	// The chunks that are kept ready for farmers. There are about as many of one
	// size as of another.
	Inventory workers.InventoryConfig `yaml:"inventory"`
	// The records, in MySQL or SQLite.
	Database store.Config `yaml:"database"`
	// The queue and the state that API and workers share. Without `url` and
	// `addrs` there is no Redis, and the node must be a single process.
	Redis RedisConfig `yaml:"redis"`
	// The locations of farmers, by their IP addresses.
	Geo geo.Config `yaml:"geo"`
	// The periodic clean-up.
	Sweep workers.SweepConfig `yaml:"sweep"`
	// The history behind the plots of the status page: what there was and what
	// happened, for the node and for each farmer. Older records have longer steps.
	Record store.RecordConfig `yaml:"record"`
	// The log, on standard error.
	Log program.LogConfig `yaml:"log"`
}

// NodeConfig is the section node of the configuration.
type NodeConfig struct {
	// The name of this node, which is part of its keys in Redis. Nodes on one Redis
	// need different names. Lower-case letters, digits, dots and dashes.
	Name string `yaml:"name" default:"downstream"`
}

// nodeName has no braces, which would break the hash tag of a Redis key.
var nodeName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,126}[a-z0-9])?$`)

// Validate implements [config.Validator].
func (c NodeConfig) Validate(p *config.Problems) {
	if !nodeName.MatchString(c.Name) {
		p.Add("name", "%q is not 1 to 128 lower-case letters, digits, dots and dashes that begin and end with a letter or digit", c.Name)
	}
}

// Default returns the configuration of a node without a file and variables.
func Default() Config { return config.Default[Config]() }

// Replicable returns the reasons why several processes cannot be one node with
// c: they must share a database, a Redis and the heartbeat keys. The commands
// api and worker need that, standalone does not.
func (c Config) Replicable() error {
	var errs []error
	if c.Database.Driver != store.MySQL {
		errs = append(errs, errors.New("database.driver: must be mysql, so that API and workers share the records"))
	}
	if !c.Redis.Configured() {
		errs = append(errs, errors.New("redis: set url, urlFile or addrs, so that API and workers share the queue"))
	}
	if len(c.Heartbeat.KeyFiles) == 0 {
		errs = append(errs, errors.New("heartbeat.keyFiles: must name the key that API and workers share"))
	}
	return errors.Join(errs...)
}

// RedisConfig is the section redis of the configuration. Either a URL names one
// server, or addrs name Sentinels or Cluster nodes.
type RedisConfig struct {
	// One server: `redis://user:password@host:6379/0`, or `rediss://` for TLS.
	URL config.Secret `yaml:"url,omitempty"`
	// The file with the URL.
	URLFile string `yaml:"urlFile"`
	// Instead of a URL: the server, the Sentinels or some nodes of the Cluster,
	// each `host:port`. In the environment, separated by commas.
	Addrs []string `yaml:"addrs"`
	// The name of the master that the Sentinels at `redis.addrs` watch.
	MasterName string `yaml:"masterName"`
	// Whether the servers at `redis.addrs` are a Redis Cluster.
	Cluster bool `yaml:"cluster"`
	// The number of the database at `redis.addrs`; a Cluster has only 0.
	DB int `yaml:"db" range:"0..65536"`
	// Whether connections to `redis.addrs` use TLS.
	TLS bool `yaml:"tls"`
	// The file with the certificates, PEM, that verify the servers instead of the
	// system's certificates.
	CAFile string `yaml:"caFile"`
	// The user at `redis.addrs`.
	Username string `yaml:"username"`
	// The user's password.
	Password config.Secret `yaml:"password,omitempty"`
	// The file with the user's password.
	PasswordFile string `yaml:"passwordFile"`
	// The user at the Sentinels, if they require one.
	SentinelUsername string `yaml:"sentinelUsername"`
	// The password for the Sentinels.
	SentinelPassword config.Secret `yaml:"sentinelPassword,omitempty"`
	// The file with the password for the Sentinels.
	SentinelPasswordFile string `yaml:"sentinelPasswordFile"`
	// The most jobs that wait or are in flight. Beyond it farmers get 503 and
	// `Retry-After`.
	MaxQueue int `yaml:"maxQueue" default:"10000" range:"1..100000000"`
}

// Configured reports whether the configuration names a Redis.
func (c RedisConfig) Configured() bool { return c.URL != "" || len(c.Addrs) > 0 }

// Validate implements [config.Validator].
func (c RedisConfig) Validate(p *config.Problems) {
	if c.URL != "" {
		p.Check("url", checkURL(string(c.URL)))
		if len(c.Addrs) > 0 {
			p.Add("addrs", "must be empty if there is a %s", p.Key("url"))
		}
	}
	for _, addr := range c.Addrs {
		if host, _, err := net.SplitHostPort(addr); err == nil && host == "" {
			p.Add("addrs", "%q has no host", addr)
		} else {
			p.Check("addrs", config.CheckAddress(addr))
		}
	}
	if len(c.Addrs) == 0 && (c.MasterName != "" || c.Cluster) {
		p.Add("addrs", "must name the Sentinels or the Cluster's nodes")
	}
	if c.MasterName != "" && c.Cluster {
		p.Add("masterName", "is for Sentinels; a Cluster has none")
	}
	if c.Cluster && c.DB != 0 {
		p.Add("db", "must be 0 for a Cluster, is %d", c.DB)
	}
}

// checkURL never returns the URL in an error: it may hold a password.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return errors.New("is not a URL")
	}
	if u.Scheme != "redis" && u.Scheme != "rediss" {
		return errors.New("must begin with redis:// or rediss://")
	}
	return nil
}
