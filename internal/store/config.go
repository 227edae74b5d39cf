package store

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/node"
)

// Config is the section `database` of the configuration.
type Config struct {
	// The kind of database: `mysql` (MySQL 8 or MariaDB), or `sqlite`, which only a
	// node of one process can use.
	Driver string `yaml:"driver" default:"sqlite" oneof:"mysql sqlite"`
	// The MySQL data source name, such as
	// `user:password@tcp(host:3306)/downstream`. It may name several servers:
	// `tcp(a:3306,b:3306)`; see `database.addrs`.
	DSN config.Secret `yaml:"dsn,omitempty"`
	// The file that contains the data source name.
	DSNFile string `yaml:"dsnFile"`
	// The data source name of a replica of this MySQL. The status lists, the page and the
	// history of the node read from it; everything else reads from `dsn`. The user
	// needs only the right to read.
	ReadDSN config.Secret `yaml:"readDSN,omitempty"`
	// The file that contains the data source name of the replica.
	ReadDSNFile string `yaml:"readDSNFile"`
	// How far the replica may be behind. If it is further behind, or fails, the node
	// reads from `dsn` until the replica is in step again.
	MaxLag time.Duration `yaml:"maxLag" default:"10s" range:"3s..1h"`
	// The addresses to use instead of a data source name, each `host:port`. Several
	// servers must have the same records, such as the nodes of a Galera cluster. The
	// node uses the first that works, and the next if that one fails. In the
	// environment, separate them with commas.
	Addrs []string `yaml:"addrs"`
	// The name of the database at `database.addrs`.
	Name string `yaml:"name"`
	// The user name for the servers at `database.addrs`.
	Username string `yaml:"username"`
	// The file that contains the user name.
	UsernameFile string `yaml:"usernameFile"`
	// The password of that user.
	Password config.Secret `yaml:"password,omitempty"`
	// The file that contains the password.
	PasswordFile string `yaml:"passwordFile"`

	config.ClientTLS `yaml:",inline"`

	// The SQLite file. The node creates the file if it does not exist.
	Path string `yaml:"path" default:"data/downstream.db"`
	// The maximum number of open connections of a process.
	MaxOpen int `yaml:"maxOpen" default:"32" range:"1..10000"`
	// The maximum number of idle connections of a process.
	MaxIdle int `yaml:"maxIdle" default:"16" range:"0..10000"`
	// The time after which a new connection replaces an old one. New connections go
	// to the new primary after a failover. 0 means no limit.
	ConnLifetime time.Duration `yaml:"connLifetime" default:"5m" range:"0s..24h"`
}

// Validate implements [config.Validator].
func (c Config) Validate(p *config.Problems) {
	switch structured := len(c.Addrs) > 0; {
	case structured && c.DSN != "":
		p.Add("addrs", "must be empty if there is a %s", p.Key("dsn"))
	case structured:
		p.CheckServers("addrs", c.Addrs)
		if c.Name == "" {
			p.Add("name", "is required with %s", p.Key("addrs"))
		}
		if c.Username == "" {
			p.Add("username", "is required with %s; set it, or name a file with %s", p.Key("addrs"), p.Key("usernameFile"))
		}
	case c.Name != "" || c.Username != "" || c.Password != "":
		p.Add("addrs", "must name the servers, because %s, %s and %s are for them", p.Key("name"), p.Key("username"), p.Key("password"))
	case c.Driver == MySQL && c.DSN == "":
		p.Add("dsn", "is required for %s: name a file with %s, or set %s, or use %s", MySQL, p.Key("dsnFile"), p.Env("dsn"), p.Key("addrs"))
	}
	if c.Driver == SQLite && c.ReadDSN != "" {
		p.Add("readDSN", "is only for %s; set %s, or remove it", MySQL, p.Key("driver"))
	}
	if c.Driver == SQLite && c.Path == "" {
		p.Add("path", "is required for %s", SQLite)
	}
	if c.MaxIdle > c.MaxOpen {
		p.Add("maxIdle", "must be at most %s (%d), is %d", p.Key("maxOpen"), c.MaxOpen, c.MaxIdle)
	}
}

// Where says where the database is, without credentials.
func (c Config) Where() string {
	if c.Driver == SQLite {
		path, err := filepath.Abs(c.Path)
		if err != nil {
			path = c.Path
		}
		return "SQLite " + path
	}
	addrs, name := c.Addrs, c.Name
	if len(addrs) == 0 {
		cfg, servers, err := parseDSN(string(c.DSN))
		if err != nil {
			return "MySQL"
		}
		addrs, name = servers, cfg.DBName
	}
	return "MySQL " + strings.Join(addrs, ",") + "/" + name
}

// ScoreConfig is the section `score` of the configuration.
type ScoreConfig struct {
	// The time after which an interval has half of its weight in a farmer's scores.
	HalfLife time.Duration `yaml:"halfLife" default:"720h" range:"1h..87600h"`
	// The share of intervals without a missed challenge that a farmer needs. A farmer that
	// almost certainly has less gets no contracts until it has more; it keeps those that it
	// has. 0 for no such rule.
	MinOnline config.Fraction `yaml:"minOnline" default:"0" range:"0..1"`
	// The same for the share of intervals without a wrong proof.
	MinCorrect config.Fraction `yaml:"minCorrect" default:"0" range:"0..1"`
}

// Rules returns the rules that the configuration describes.
func (c ScoreConfig) Rules() node.ScoreRules {
	return node.ScoreRules{HalfLife: c.HalfLife, MinOnline: float64(c.MinOnline), MinCorrect: float64(c.MinCorrect)}
}

// RecordConfig is the section `record` of the configuration.
type RecordConfig struct {
	// The time for which the totals of each minute are kept; at least an hour.
	Minutes time.Duration `yaml:"minutes" default:"48h" range:"1h..8784h"`
	// The time for which the totals of each hour are kept.
	Hours time.Duration `yaml:"hours" default:"17520h" range:"24h..876000h"`
	// The time for which the days of each farmer are kept. Each day of a farmer
	// takes a row of about 60 bytes.
	FarmerDays time.Duration `yaml:"farmerDays" default:"9600h" range:"24h..876000h"`
}

// Validate implements [config.Validator].
func (c RecordConfig) Validate(p *config.Problems) {
	if c.Hours < c.Minutes {
		p.Add("hours", "must be at least %s (%v), is %v", p.Key("minutes"), c.Minutes, c.Hours)
	}
}
