package queue

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/driveshare/downstream-node/internal/node"
)

// Options say where Redis is and how much of it a node may use.
type Options struct {
	// URL names one server: redis://user:password@host:6379/0, or rediss://
	// for TLS. Where it is set, Addrs, DB, Username and Password are not used.
	URL string
	// Addrs, host:port each, are the server, the Sentinels or some nodes of
	// the Cluster.
	Addrs              []string
	MasterName         string // of the master that the Sentinels watch
	Cluster            bool
	DB                 int
	Username, Password string
	SentinelUsername   string
	SentinelPassword   string
	TLS                *tls.Config

	// Namespace is the node that the keys belong to. It has no braces.
	Namespace string
	// MaxQueue is the most jobs that wait or are under way.
	MaxQueue int
	// Timeout is how long one call may take, beside the time that a read is
	// asked to wait for something to come.
	Timeout time.Duration
	// Now is the clock that deadlines and lifetimes are reckoned with.
	Now func() time.Time
	// Log is told when the replies can no longer be read, and when again.
	Log *slog.Logger
}

// The defaults of Options.
const (
	DefaultMaxQueue = 10_000
	DefaultTimeout  = 3 * time.Second
)

// Queue is a node's part of a Redis. It is safe for concurrent use.
type Queue struct {
	client   redis.UniversalClient
	limiter  *redis_rate.Limiter
	prefix   string // "{namespace}:"
	maxQueue int
	timeout  time.Duration
	now      func() time.Time
	log      *slog.Logger
	outgoing outgoing
	stop     func() // ends the embedded server; nil without one
}

// ID is 16 random bytes: the name of a job, or of the place where an API
// replica reads its replies. The zero ID names nothing.
type ID [16]byte

// NewID makes a random ID.
func NewID() ID {
	var id ID
	rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	return id
}

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText is String, for logs in JSON.
func (id ID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// Open makes a Queue on the Redis that o names. It does not ask whether Redis
// is there: a replica starts, and reports itself not ready, while Redis is
// down. An error is one of the options. The context is not used yet: nothing
// here waits.
func Open(_ context.Context, o Options) (*Queue, error) {
	if o.Namespace == "" || strings.ContainsAny(o.Namespace, "{}") {
		return nil, fmt.Errorf("queue: namespace %q: must not be empty nor have braces", o.Namespace)
	}
	client, err := connect(o)
	if err != nil {
		return nil, err
	}
	q := &Queue{
		client:   client,
		limiter:  redis_rate.NewLimiter(client),
		prefix:   "{" + o.Namespace + "}:",
		maxQueue: o.MaxQueue,
		timeout:  o.Timeout,
		now:      o.Now,
		log:      o.Log,
	}
	if q.maxQueue <= 0 {
		q.maxQueue = DefaultMaxQueue
	}
	if q.timeout <= 0 {
		q.timeout = DefaultTimeout
	}
	if q.now == nil {
		q.now = time.Now
	}
	if q.log == nil {
		q.log = slog.Default()
	}
	return q, nil
}

// connect makes the client. It dials nothing yet.
func connect(o Options) (redis.UniversalClient, error) {
	timeout := o.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	u := &redis.UniversalOptions{
		Addrs:            o.Addrs,
		MasterName:       o.MasterName,
		IsClusterMode:    o.Cluster,
		DB:               o.DB,
		Username:         o.Username,
		Password:         o.Password,
		SentinelUsername: o.SentinelUsername,
		SentinelPassword: o.SentinelPassword,
		TLSConfig:        o.TLS,
		Protocol:         2, // nothing here needs what RESP 3 adds

		// A farmer is better told 503 soon than ok late: one more try bridges
		// a connection that a restart broke, more would only hold requests.
		MaxRetries:            1,
		DialerRetries:         1,
		DialTimeout:           timeout,
		ReadTimeout:           timeout,
		WriteTimeout:          timeout,
		PoolTimeout:           timeout,
		ContextTimeoutEnabled: true,

		// Neither is known to every server that is spoken to here.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if o.URL != "" {
		// The parser's error may show the URL, and with it the password.
		one, err := redis.ParseURL(o.URL)
		if err != nil {
			return nil, errors.New("queue: the Redis URL is malformed")
		}
		u.Addrs, u.DB, u.Username, u.Password = []string{one.Addr}, one.DB, one.Username, one.Password
		if u.TLSConfig == nil {
			u.TLSConfig = one.TLSConfig
		}
	}
	if len(u.Addrs) == 0 {
		return nil, errors.New("queue: no Redis is named")
	}
	return redis.NewUniversalClient(u), nil
}

// Close ends the connections, and the embedded server if there is one.
func (q *Queue) Close() error {
	err := q.client.Close()
	if q.stop != nil {
		q.stop()
	}
	if err != nil {
		return fmt.Errorf("queue: close: %w", err)
	}
	return nil
}

// Ping says whether Redis answers.
func (q *Queue) Ping(ctx context.Context) error {
	ctx, cancel := q.bounded(ctx)
	defer cancel()
	return wrap("ping", q.client.Ping(ctx).Err())
}

// bounded gives a call its deadline.
func (q *Queue) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, q.timeout)
}

// transaction sends the commands of fn as one MULTI and EXEC. Where Redis does
// not begin them, because it could not do one of them, the error is what it
// said of that one.
func (q *Queue) transaction(ctx context.Context, fn func(tx redis.Pipeliner) error) error {
	cmds, err := q.client.TxPipelined(ctx, fn)
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

// The keys. All begin with the namespace as hash tag, so that those of one
// node share a slot of a Redis Cluster and a script may touch several.

func (q *Queue) jobsKey() string         { return q.prefix + "jobs" }
func (q *Queue) deadKey() string         { return q.prefix + "dead" }
func (q *Queue) countersKey() string     { return q.prefix + "counters" }
func (q *Queue) repliesKey(to ID) string { return q.prefix + "replies:" + to.String() }

func (q *Queue) stateKey(tokenID int64, file node.FileHash) string {
	var room [128]byte // on the stack: there is one a proof, and once more
	key := append(append(room[:0], q.prefix...), "state:"...)
	key = append(strconv.AppendInt(key, tokenID, 10), ':')
	return string(hex.AppendEncode(key, file[:]))
}

func (q *Queue) tokenKey(token node.TokenHash) string {
	return q.prefix + "token:" + hex.EncodeToString(token[:])
}
