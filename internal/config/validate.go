package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/node"
)

const (
	day = 24 * time.Hour
	// maxSize is the largest size of anything: the amounts of a node add up
	// in 64 bits with room to spare.
	maxSize ByteSize = 1 << 50
)

// Validate returns every problem of c, joined, each beginning with its key.
func (c Config) Validate() error {
	var p problems
	p.check("node.name", validName(c.Node.Name))
	c.API.validate(&p)
	c.Worker.validate(&p)
	c.Heartbeat.validate(&p)
	c.Contracts.validate(&p)
	within(&p, "access.minBalance", c.Access.MinBalance, 0, 1<<53)
	c.Inventory.validate(&p)
	c.Database.validate(&p)
	c.Redis.validate(&p)
	within(&p, "geo.reloadInterval", c.Geo.ReloadInterval, time.Second, day)
	c.Sweep.validate(&p)
	c.Record.validate(&p)
	p.check("log.format", oneOf(c.Log.Format, LogJSON, LogText))
	return errors.Join(p...)
}

// Replicable returns what keeps several processes from being one node with c:
// they have to share a database, a Redis and the heartbeat's keys. The
// commands api and worker need it, standalone does not.
func (c Config) Replicable() error {
	var p problems
	if c.Database.Driver != MySQL {
		p.add("database.driver", "must be %s for API and workers to share the records", MySQL)
	}
	if !c.Redis.Configured() {
		p.add("redis", "needs url, urlFile or addrs for API and workers to share the queue")
	}
	if len(c.Heartbeat.KeyFiles) == 0 {
		p.add("heartbeat.keyFiles", "must name a key for API and workers to share")
	}
	return errors.Join(p...)
}

type problems []error

func (p *problems) add(key, format string, args ...any) {
	*p = append(*p, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
}

func (p *problems) check(key string, err error) {
	if err != nil {
		p.add(key, "%v", err)
	}
}

// within refuses a value out of [low, high]; a NaN is out of every range.
func within[T cmp.Ordered](p *problems, key string, value, low, high T) {
	if !(value >= low && value <= high) {
		p.add(key, "must be from %v to %v, is %v", low, high, value)
	}
}

func (a API) validate(p *problems) {
	p.check("api.listen", validListen(a.Listen))
	p.check("api.privateListen", validListen(a.PrivateListen))
	if a.Listen == a.PrivateListen && !strings.HasSuffix(a.Listen, ":0") { // which is any free port
		p.add("api.privateListen", "must not be api.listen")
	}
	if (a.TLS.CertFile == "") != (a.TLS.KeyFile == "") {
		p.add("api.tls", "certFile and keyFile go together")
	}
	for _, proxy := range a.TrustedProxies {
		if proxy.Addr().Is4In6() {
			p.add("api.trustedProxies", "%v must be written as IPv4", proxy)
		}
	}
	within(p, "api.maxBody", a.MaxBody, kib, gib)
	within(p, "api.maxProofs", a.MaxProofs, 1, 1_000_000)
	within(p, "api.partSize", a.PartSize, 1, 10_000)
	within(p, "api.answerTimeout", a.AnswerTimeout, 100*time.Millisecond, 10*time.Minute)
	within(p, "api.drainDelay", a.DrainDelay, 0, 10*time.Minute)
	within(p, "api.shutdownTimeout", a.ShutdownTimeout, 0, time.Hour)
	within(p, "api.readHeaderTimeout", a.ReadHeaderTimeout, 100*time.Millisecond, time.Hour)
	within(p, "api.readTimeout", a.ReadTimeout, 100*time.Millisecond, time.Hour)
	within(p, "api.writeTimeout", a.WriteTimeout, 100*time.Millisecond, day)
	within(p, "api.idleTimeout", a.IdleTimeout, time.Second, day)
	if a.WriteTimeout <= a.AnswerTimeout {
		p.add("api.writeTimeout", "must be more than api.answerTimeout (%v), is %v", a.AnswerTimeout, a.WriteTimeout)
	}
	within(p, "api.maxInFlight", a.MaxInFlight, 1, 1_000_000)
	a.RateLimits.PerIP.validate(p, "api.rateLimits.perIP")
	a.RateLimits.PerToken.validate(p, "api.rateLimits.perToken")
}

func (l RateLimit) validate(p *problems, key string) {
	within(p, key+".rate", l.Rate, 0, 1e6)
	within(p, key+".burst", l.Burst, 0, 1_000_000)
	if l.Rate > 0 && l.Burst == 0 {
		p.add(key+".burst", "must be at least 1 where there is a rate")
	}
}

func (w Worker) validate(p *problems) {
	p.check("worker.privateListen", validListen(w.PrivateListen))
	within(p, "worker.concurrency", w.Concurrency, 0, 4096)
	within(p, "worker.commitBatch", w.CommitBatch, 1, 10_000)
	within(p, "worker.commitDelay", w.CommitDelay, 0, time.Second)
	within(p, "worker.jobHardLimit", w.JobHardLimit, 100*time.Millisecond, time.Hour)
	within(p, "worker.claimIdle", w.ClaimIdle, 0, day)
	if w.ClaimIdle <= 2*w.JobHardLimit {
		p.add("worker.claimIdle", "must be more than twice worker.jobHardLimit (%v), is %v", w.JobHardLimit, w.ClaimIdle)
	}
	within(p, "worker.maxDeliveries", w.MaxDeliveries, 1, 1000)
	within(p, "worker.drainTimeout", w.DrainTimeout, 0, time.Hour)
}

func (h Heartbeat) validate(p *problems) {
	p.check("heartbeat.type", oneOf(h.Type, heartbeat.Swizzle, heartbeat.Merkle))
	within(p, "heartbeat.checkFraction", h.CheckFraction, 0, 1)
	within(p, "heartbeat.challenges", h.Challenges, 1, 1<<16)
	seen := make(map[string]bool)
	for _, path := range h.KeyFiles {
		if path == "" || seen[path] {
			p.add("heartbeat.keyFiles", "names %q twice or is empty there", path)
		}
		seen[path] = true
	}
}

func (c Contracts) validate(p *problems) {
	within(p, "contracts.interval", c.Interval, time.Second, 30*day)
	if c.Interval%time.Second != 0 {
		p.add("contracts.interval", "must be whole seconds, is %v", c.Interval)
	}
	within(p, "contracts.tokensPerIP", c.TokensPerIP, 1, 1_000_000)
	within(p, "contracts.contractsPerRequest", c.ContractsPerRequest, 1, 10_000)
	within(p, "contracts.bytesPerAddress", c.BytesPerAddress, 1, maxSize)
	within(p, "contracts.defaultRequestSize", c.DefaultRequestSize, 1, maxSize)
	within(p, "contracts.messageLength", c.MessageLength, 1, 65_536)
	within(p, "contracts.wrongAnswers", c.WrongAnswers, 1, 1000)
	within(p, "contracts.retention", c.Retention, 0, 3650*day)
}

func (i Inventory) validate(p *problems) {
	before := len(*p)
	within(p, "inventory.minChunkSize", i.MinChunkSize, 32, maxSize)
	within(p, "inventory.maxChunkSize", i.MaxChunkSize, 32, maxSize)
	within(p, "inventory.totalSize", i.TotalSize, 0, maxSize)
	if i.MaxChunkSize < i.MinChunkSize {
		p.add("inventory.maxChunkSize", "must be at least inventory.minChunkSize (%v), is %v", i.MinChunkSize, i.MaxChunkSize)
	}
	within(p, "inventory.base", i.Base, 2, 1024)
	within(p, "inventory.encoders", i.Encoders, 1, 1024)
	if len(*p) == before { // else the sizes' problem is one of those above
		_, err := node.Inventory{MinSize: int64(i.MinChunkSize), MaxSize: int64(i.MaxChunkSize), Base: i.Base}.Sizes()
		p.check("inventory", err)
	}
}

func (s Sweep) validate(p *problems) {
	within(p, "sweep.interval", s.Interval, 100*time.Millisecond, day)
	within(p, "sweep.grace", s.Grace, 0, day)
	within(p, "sweep.batch", s.Batch, 1, 100_000)
}

func (r Record) validate(p *problems) {
	within(p, "record.minutes", r.Minutes, time.Hour, 366*day)
	within(p, "record.hours", r.Hours, day, 36500*day)
	within(p, "record.farmerDays", r.FarmerDays, day, 36500*day)
	if r.Hours < r.Minutes {
		p.add("record.hours", "must be at least record.minutes (%v), is %v", r.Minutes, r.Hours)
	}
}

func (d Database) validate(p *problems) {
	p.check("database.driver", oneOf(d.Driver, MySQL, SQLite))
	if d.Driver == MySQL && d.DSN == "" {
		p.add("database.dsn", "is needed for %s: name a file with database.dsnFile, or set %s_DATABASE_DSN", MySQL, envPrefix)
	}
	if d.Driver == SQLite && d.Path == "" {
		p.add("database.path", "is needed for %s", SQLite)
	}
	within(p, "database.maxOpen", d.MaxOpen, 1, 10_000)
	within(p, "database.maxIdle", d.MaxIdle, 0, d.MaxOpen)
	within(p, "database.connLifetime", d.ConnLifetime, 0, day)
}

func (r Redis) validate(p *problems) {
	if r.URL != "" {
		p.check("redis.url", validRedisURL(string(r.URL)))
		if len(r.Addrs) > 0 {
			p.add("redis.addrs", "must be empty where there is a redis.url")
		}
	}
	for _, addr := range r.Addrs {
		p.check("redis.addrs", validAddr(addr))
	}
	if len(r.Addrs) == 0 && (r.MasterName != "" || r.Cluster) {
		p.add("redis.addrs", "must name the Sentinels or the Cluster's nodes")
	}
	if r.MasterName != "" && r.Cluster {
		p.add("redis.masterName", "is for Sentinels, which a Cluster has none of")
	}
	within(p, "redis.db", r.DB, 0, 1<<16)
	if r.Cluster && r.DB != 0 {
		p.add("redis.db", "must be 0 for a Cluster, is %d", r.DB)
	}
	within(p, "redis.maxQueue", r.MaxQueue, 1, 100_000_000)
}

// nodeName has no braces, which would break the hash tag of a Redis key.
var nodeName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,126}[a-z0-9])?$`)

func validName(name string) error {
	if !nodeName.MatchString(name) {
		return fmt.Errorf("%q is not 1 to 128 lower-case letters, digits, dots and dashes that begin and end with a letter or digit", name)
	}
	return nil
}

func validListen(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port", addr)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q has no port from 0 to 65535", addr)
	}
	return nil
}

func validAddr(addr string) error {
	if host, _, err := net.SplitHostPort(addr); err == nil && host == "" {
		return fmt.Errorf("%q has no host", addr)
	}
	return validListen(addr)
}

// validRedisURL never shows the URL: it may hold a password.
func validRedisURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return errors.New("is not a URL")
	}
	switch u.Scheme {
	case "redis", "rediss":
		return nil
	}
	return errors.New("must begin with redis:// or rediss://")
}
