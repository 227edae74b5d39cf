package redisdb

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Options name a Redis and the node that uses the Redis.
type Options struct {
	Config

	// Namespace is the name of the node, which is part of every key in Redis. It
	// must not contain braces.
	Namespace string
	// Secure replaces the TLS of Config, for a program that has the certificates but no
	// files with them. If nil, Config says whether connections use TLS.
	Secure *tls.Config
	// Timeout is the time limit of one call; 0 means 3 seconds. The limit of a
	// blocking read is longer by the time for which the read may block.
	Timeout time.Duration
	// Now is the clock for deadlines and lifetimes; nil means time.Now.
	Now func() time.Time
}

// SetLog sets the log of the Redis client in this process. Its messages have the debug level,
// because callers get the same information as errors. Without a call, they are left out.
func SetLog(log *slog.Logger) { redis.SetLogger(clientLog{log}) }

func init() { SetLog(slog.New(slog.DiscardHandler)) } // the client would write lines in its own format

type clientLog struct{ log *slog.Logger }

func (l clientLog) Printf(ctx context.Context, format string, args ...any) {
	l.log.DebugContext(ctx, "redis client: "+fmt.Sprintf(format, args...))
}

// DB is the part of a Redis that belongs to one node. It is safe for concurrent
// use.
type DB struct {
	Client redis.UniversalClient // for package queue

	limiter *redis_rate.Limiter
	prefix  string // "{namespace}:"
	timeout time.Duration
	now     func() time.Time
	stop    func() // stops the embedded server; nil if there is none

	incarnation atomic.Pointer[string] // see SetIncarnation
}

// Open creates a client. It does not connect, so a process can start if Redis is
// down, and then reports that it is not ready. Open returns an error if an option
// is wrong.
func Open(o Options) (*DB, error) {
	if o.Namespace == "" || strings.ContainsAny(o.Namespace, "{}") {
		return nil, fmt.Errorf("redis: namespace %q is empty or contains braces", o.Namespace)
	}
	o.Timeout = cmp.Or(o.Timeout, 3*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	client, err := newClient(o)
	if err != nil {
		return nil, err
	}
	return &DB{
		Client:  client,
		limiter: redis_rate.NewLimiter(client),
		prefix:  "{" + o.Namespace + "}:",
		timeout: o.Timeout,
		now:     o.Now,
	}, nil
}

func newClient(o Options) (redis.UniversalClient, error) {
	tlsConfig := o.Secure
	if tlsConfig == nil {
		var err error
		if tlsConfig, err = o.ClientTLS.Load(); err != nil {
			return nil, fmt.Errorf("redis.%w", err)
		}
	}
	u := &redis.UniversalOptions{
		Addrs:            o.Addrs,
		MasterName:       o.MasterName,
		IsClusterMode:    o.Cluster,
		DB:               o.DB,
		Username:         o.Username,
		Password:         string(o.Password),
		SentinelUsername: o.SentinelUsername,
		SentinelPassword: string(o.SentinelPassword),
		TLSConfig:        tlsConfig,
		Protocol:         2, // no command here needs RESP 3

		// One retry is enough for a connection that a restart of Redis broke. More
		// retries would only delay the 503.
		MaxRetries:            1,
		DialerRetries:         1,
		DialTimeout:           o.Timeout,
		ReadTimeout:           o.Timeout,
		WriteTimeout:          o.Timeout,
		PoolTimeout:           o.Timeout,
		ContextTimeoutEnabled: true,

		// Some supported servers have neither of the commands that these options
		// disable.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if o.URL != "" {
		// The parser's error may contain the URL, and therefore the password.
		one, err := redis.ParseURL(string(o.URL))
		if err != nil {
			return nil, errors.New("redis: the URL is malformed")
		}
		u.Addrs, u.DB, u.Username, u.Password = []string{one.Addr}, one.DB, one.Username, one.Password
		if u.TLSConfig == nil {
			u.TLSConfig = one.TLSConfig
		}
	}
	if len(u.Addrs) == 0 {
		return nil, errors.New("redis: no address is configured")
	}
	if o.Cluster {
		cluster := u.Cluster()
		cluster.ClusterStateReloadInterval = clusterStateAge
		return redis.NewClusterClient(cluster), nil
	}
	return redis.NewUniversalClient(u), nil
}

// clusterStateAge is the age at which a client asks a Cluster again which master has which
// slot. If a master dies, no reply tells the client that a replica has taken its place. The
// library's default is a minute, for which all calls would fail.
const clusterStateAge = time.Second

// Close closes the connections, and stops the embedded server if there is one.
func (db *DB) Close() error {
	err := db.Client.Close()
	if db.stop != nil {
		db.stop()
	}
	return Wrap("close", err)
}

// Ping returns nil if Redis responds.
func (db *DB) Ping(ctx context.Context) error {
	return db.do(ctx, "ping", func(ctx context.Context) error { return db.Client.Ping(ctx).Err() })
}

// Probe returns nil if Redis accepts a write. A Redis that is full or a read-only
// replica responds to Ping, but it cannot queue jobs.
func (db *DB) Probe(ctx context.Context) error {
	return db.do(ctx, "write", func(ctx context.Context) error {
		return db.Client.Set(ctx, db.Key("probe"), "", probeLife).Err()
	})
}

// probeLife is how long the key that Probe writes exists.
const probeLife = time.Minute

// SetIncarnation sets the incarnation of the records, of which this process caches
// copies. Copies of contracts and tokens that were made under another incarnation
// are no longer found, and expire.
func (db *DB) SetIncarnation(incarnation string) { db.incarnation.Store(&incarnation) }

// appendCacheKey appends the beginning of the key of a cached copy.
func (db *DB) appendCacheKey(key []byte, kind string) []byte {
	key = append(append(key, db.prefix...), kind...)
	if incarnation := db.incarnation.Load(); incarnation != nil {
		key = append(append(key, *incarnation...), ':')
	}
	return key
}

// Key returns the full Redis key for a name, with the prefix of this node.
func (db *DB) Key(name string) string { return db.prefix + name }

// Now returns the time of the clock in Options.
func (db *DB) Now() time.Time { return db.now() }

// Timeout returns the time limit of one call.
func (db *DB) Timeout() time.Duration { return db.timeout }

// Bound limits ctx to the time limit of one call.
func (db *DB) Bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, db.timeout)
}

// Transaction sends the commands of fn as one MULTI and EXEC. If Redis refuses the
// transaction because of one command, Transaction returns the error of that
// command.
func (db *DB) Transaction(ctx context.Context, fn func(tx redis.Pipeliner) error) error {
	cmds, err := db.Client.TxPipelined(ctx, fn)
	if !redis.HasErrorPrefix(err, "EXECABORT") {
		return err
	}
	for _, cmd := range cmds {
		if cause := cmd.Err(); cause != nil && !redis.HasErrorPrefix(cause, "EXECABORT") {
			return cause
		}
	}
	return err
}

// do makes a call with the time limit, and wraps the error of the call.
func (db *DB) do(ctx context.Context, doing string, call func(context.Context) error) error {
	ctx, cancel := db.Bound(ctx)
	defer cancel()
	return Wrap(doing, call(ctx))
}

// ErrUnavailable means that Redis cannot be reached or cannot do the work now: it
// is loading, is a read-only replica, or is out of memory. A retry may succeed
// later.
var ErrUnavailable = errors.New("redis is unavailable")

// Wrap adds the description of the operation to err, and also wraps
// [ErrUnavailable] if a retry may succeed.
func Wrap(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case unavailable(err):
		return fmt.Errorf("redis: %s: %w: %w", doing, ErrUnavailable, err)
	default:
		return fmt.Errorf("redis: %s: %w", doing, err)
	}
}

// unavailable reports whether Redis could not do its work. It returns false only if
// the caller canceled the call, the result is empty, or the reply says that the
// command is wrong. Every other reply is about Redis's state or the connection's rights, which can change.
func unavailable(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, redis.Nil) {
		return false
	}
	var reply redis.Error
	if !errors.As(err, &reply) {
		return true // no reply: the connection failed, or the time limit was reached
	}
	text := reply.Error()
	if strings.HasPrefix(text, "ERR max number of clients") {
		return true
	}
	for _, wrong := range [...]string{
		"ERR ", "WRONGTYPE ", "NOSCRIPT ", "CROSSSLOT ", "EXECABORT ", "BUSYGROUP ", "NOGROUP ", "BUSYKEY ",
	} {
		if strings.HasPrefix(text, wrong) {
			return false
		}
	}
	return true
}

// IgnoreNil returns nil if err is [redis.Nil], which means an empty result.
func IgnoreNil(err error) error {
	if err == redis.Nil {
		return nil
	}
	return err
}
