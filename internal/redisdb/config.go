package redisdb

import (
	"errors"
	"net/url"
	"strings"

	"github.com/driveshare/downstream-node/internal/config"
)

// Config is the part of the section `redis` that names the servers. Either a URL
// names one server, or addrs name a server, Sentinels or Cluster nodes.
type Config struct {
	// The URL of one server: `redis://user:password@host:6379/0`, or `rediss://`
	// for TLS.
	URL config.Secret `yaml:"url,omitempty"`
	// The file that contains the URL.
	URLFile string `yaml:"urlFile"`
	// The addresses to use instead of a URL: one server, the Sentinels, or some
	// nodes of the Cluster. Each is `host:port`. In the environment, separate them
	// with commas.
	Addrs []string `yaml:"addrs"`
	// The name of the master that the Sentinels at `redis.addrs` watch.
	MasterName string `yaml:"masterName"`
	// Whether the servers at `redis.addrs` are a Redis Cluster.
	Cluster bool `yaml:"cluster"`
	// The number of the database at `redis.addrs`. A Cluster has only database 0.
	DB int `yaml:"db" range:"0..65536"`

	config.ClientTLS `yaml:",inline"`

	// The user name for the servers at `redis.addrs`.
	Username string `yaml:"username"`
	// The file that contains the user name.
	UsernameFile string `yaml:"usernameFile"`
	// The password of that user.
	Password config.Secret `yaml:"password,omitempty"`
	// The file that contains the password.
	PasswordFile string `yaml:"passwordFile"`
	// The user name for the Sentinels, if they require one.
	SentinelUsername string `yaml:"sentinelUsername"`
	// The file that contains the user name for the Sentinels.
	SentinelUsernameFile string `yaml:"sentinelUsernameFile"`
	// The password for the Sentinels.
	SentinelPassword config.Secret `yaml:"sentinelPassword,omitempty"`
	// The file that contains the password for the Sentinels.
	SentinelPasswordFile string `yaml:"sentinelPasswordFile"`
}

// Configured reports whether the configuration names a Redis.
func (c Config) Configured() bool { return c.URL != "" || len(c.Addrs) > 0 }

// Where says where Redis is, without credentials.
func (c Config) Where() string {
	switch u, err := url.Parse(string(c.URL)); {
	case len(c.Addrs) > 0:
		return "Redis " + strings.Join(c.Addrs, ",")
	case c.URL != "" && err == nil:
		return "Redis " + u.Host
	case c.URL != "":
		return "Redis"
	}
	return "embedded Redis"
}

// Validate implements [config.Validator].
func (c Config) Validate(p *config.Problems) {
	if c.URL != "" {
		p.Check("url", checkURL(string(c.URL)))
		if len(c.Addrs) > 0 {
			p.Add("addrs", "must be empty if there is a %s", p.Key("url"))
		}
	}
	p.CheckServers("addrs", c.Addrs)
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

// checkURL never returns the URL in an error, because the URL may contain a
// password.
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
