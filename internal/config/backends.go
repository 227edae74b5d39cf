package config

import "time"

// Driver names a kind of database.
type Driver string

// The databases that hold the records.
const (
	MySQL  Driver = "mysql"
	SQLite Driver = "sqlite"
)

// Database is where the records are kept.
type Database struct {
	// `mysql` (MySQL 8 or MariaDB), or `sqlite`, which is for a single process.
	Driver Driver `yaml:"driver"`
	// The MySQL data source name, such as
	// `user:password@tcp(host:3306)/downstream`.
	DSN Secret `yaml:"dsn,omitempty"`
	// The file with the data source name.
	DSNFile string `yaml:"dsnFile"`
	// The SQLite file; it is made where it does not exist.
	Path string `yaml:"path"`
	// The most open connections of a process.
	MaxOpen int `yaml:"maxOpen"`
	// The most idle connections that a process keeps.
	MaxIdle int `yaml:"maxIdle"`
	// How long a connection is used before a new one takes its place, so that a
	// failover is followed; 0 for ever.
	ConnLifetime time.Duration `yaml:"connLifetime"`
}

// Redis is the queue between API and workers, and the state they share.
// Either a URL names one server, or addrs name Sentinels or Cluster nodes.
type Redis struct {
	// One server: `redis://user:password@host:6379/0`, or `rediss://` for TLS.
	URL Secret `yaml:"url,omitempty"`
	// The file with the URL.
	URLFile string `yaml:"urlFile"`
	// In place of a URL: the server, the Sentinels or some nodes of the Cluster,
	// each `host:port`. In the environment, separated by commas.
	Addrs []string `yaml:"addrs"`
	// The name of the master that the Sentinels at `redis.addrs` watch.
	MasterName string `yaml:"masterName"`
	// Whether the servers at `redis.addrs` are a Redis Cluster.
	Cluster bool `yaml:"cluster"`
	// The number of the database at `redis.addrs`; a Cluster has only 0.
	DB int `yaml:"db"`
	// Whether the servers at `redis.addrs` are spoken to with TLS.
	TLS bool `yaml:"tls"`
	// The file with the certificates, PEM, that servers are verified with in
	// place of the system's.
	CAFile string `yaml:"caFile"`
	// The user at `redis.addrs`.
	Username string `yaml:"username"`
	// The user's password.
	Password Secret `yaml:"password,omitempty"`
	// The file with the user's password.
	PasswordFile string `yaml:"passwordFile"`
	// The user at the Sentinels, where they want one.
	SentinelUsername string `yaml:"sentinelUsername"`
	// The password for the Sentinels.
	SentinelPassword Secret `yaml:"sentinelPassword,omitempty"`
	// The file with the password for the Sentinels.
	SentinelPasswordFile string `yaml:"sentinelPasswordFile"`
	// The most jobs that wait or are under way; beyond it farmers get 503 and
	// `Retry-After`.
	MaxQueue int `yaml:"maxQueue"`
}

// Configured says whether a Redis is named at all.
func (r Redis) Configured() bool {
	return r.URL != "" || len(r.Addrs) > 0
}

// Geo is the location database.
type Geo struct {
	// A GeoLite2 or GeoIP2 City database (mmdb); without one, locations are
	// unknown.
	File string `yaml:"file"`
	// How often it is looked whether the file has changed.
	ReloadInterval time.Duration `yaml:"reloadInterval"`
}
