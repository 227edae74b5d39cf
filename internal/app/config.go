package app

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/driveshare/downstream-node/apiserver"
	"github.com/driveshare/downstream-node/apiserver/page"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/geo"
	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/program"
	"github.com/driveshare/downstream-node/internal/queue"
	"github.com/driveshare/downstream-node/internal/redisdb"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/workers"
)

// Config is the configuration of a node. Each component declares its own
// configuration keys. docs/reference/configuration.md is generated from the comments on the
// fields.
type Config struct {
	// Settings of the node as a whole.
	Node NodeConfig `yaml:"node"`
	// The HTTP server that farmers call.
	API apiserver.Config `yaml:"api"`
	// What the node's page says about the node.
	Page page.Config `yaml:"page"`
	// The verification workers.
	Worker workers.Config `yaml:"worker"`
	// The proof-of-storage scheme and its keys.
	Heartbeat keyring.Config `yaml:"heartbeat"`
	// The contracts that farmers get, and the limits on them.
	Contracts apiserver.ContractsConfig `yaml:"contracts"`
	// The farmers that may have a token.
	Access apiserver.AccessConfig `yaml:"access"`
	// The chunks that are kept ready for farmers. There are about equally many
	// chunks of each size.
	Inventory workers.InventoryConfig `yaml:"inventory"`
	// The database with the records: MySQL or SQLite.
	Database store.Config `yaml:"database"`
	// The queue and the state that the API and the workers share. Without `url` and
	// `addrs` the process has its own embedded Redis, and the node must be a single
	// process.
	Redis RedisConfig `yaml:"redis"`
	// The locations of farmers, by their IP addresses.
	Geo geo.Config `yaml:"geo"`
	// The periodic clean-up.
	Sweep workers.SweepConfig `yaml:"sweep"`
	// The history that the plots of the status page show: levels and events, for
	// the node and for each farmer. Older records have longer steps.
	Record store.RecordConfig `yaml:"record"`
	// How the node rates farmers.
	Score store.ScoreConfig `yaml:"score"`
	// The log, on standard error.
	Log program.LogConfig `yaml:"log"`
}

// NodeConfig is the section `node` of the configuration.
type NodeConfig struct {
	// The name of this node, which is part of its keys in Redis. Nodes that share a
	// Redis need different names. A name has lower-case letters, digits, dots and
	// dashes.
	Name string `yaml:"name" default:"downstream"`
	// The UID of the DownstreamNode. `db migrate` records it with the name as the owner of
	// the database, and refuses a database of another owner. The operator sets it. Without
	// it, the database needs no owner.
	UID string `yaml:"uid"`
}

// nodeName allows no braces, because braces would break the hash tag of a Redis
// key.
var nodeName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,126}[a-z0-9])?$`)

// Validate implements [config.Validator].
func (c NodeConfig) Validate(p *config.Problems) {
	if !nodeName.MatchString(c.Name) {
		p.Add("name", "%q is not 1 to 128 lower-case letters, digits, dots and dashes that begin and end with a letter or digit", c.Name)
	}
	if len(c.UID) > 128 || strings.ContainsFunc(c.UID, unicode.IsSpace) {
		p.Add("uid", "%.140q is not a text of at most 128 bytes without spaces", c.UID)
	}
}

// Validate implements [config.Validator], for rules about several sections.
func (c Config) Validate(p *config.Problems) {
	c.Heartbeat.CheckReachable(p, c.Contracts.Interval)
}

// Default returns the configuration of a node that has no configuration file and no
// environment variables.
func Default() Config { return config.Default[Config]() }

// Replicable returns the reasons why c is not suitable for a node of several
// processes, or nil. The processes of a node must share a database, a Redis and the
// heartbeat keys. The commands api and worker need this; the command standalone
// does not.
func (c Config) Replicable() error {
	var errs []error
	if c.Database.Driver != store.MySQL {
		errs = append(errs, errors.New("database.driver: must be mysql, so that API and workers share the records"))
	}
	if !c.Redis.Server.Configured() {
		errs = append(errs, errors.New("redis: set redis.url, redis.urlFile or redis.addrs, so that API and workers share the queue"))
	}
	if len(c.Heartbeat.KeyFiles) == 0 {
		errs = append(errs, errors.New("heartbeat.keyFiles: must name the key that API and workers share"))
	}
	return errors.Join(errs...)
}

// TakeoverInTime returns an error if a worker takes over the jobs of a stuck worker
// only after their requests have ended. The processes api and worker have
// separate configurations, so only a standalone node knows both values.
func (c Config) TakeoverInTime() error {
	if c.Worker.ClaimIdle < c.API.AnswerTimeout {
		return nil
	}
	return fmt.Errorf("worker.claimIdle: must be less than api.answerTimeout (%v), so that a job that another worker takes over still gets its verdict in time; it is %v", c.API.AnswerTimeout, c.Worker.ClaimIdle)
}

// RedisConfig is the section `redis` of the configuration.
type RedisConfig struct {
	Server redisdb.Config `yaml:",inline"`
	Queue  queue.Config   `yaml:",inline"`
}
