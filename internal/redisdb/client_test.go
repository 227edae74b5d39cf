package redisdb

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/redisdb/redistest"
	"github.com/driveshare/downstream-node/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var must = testenv.Must

// open opens a DB in a new namespace.
func open(t testing.TB, s *redistest.Server, change ...func(*Options)) *DB {
	t.Helper()
	o := Options{Config: Config{URL: config.Secret(s.URL), MasterName: s.MasterName, Cluster: s.Cluster}}
	if s.Addr != "" {
		o.Addrs = []string{s.Addr}
	}
	o.Namespace = strings.ReplaceAll(t.Name(), "/", ".") + "-" + rand.Text()
	for _, f := range change {
		f(&o)
	}
	db, err := Open(o)
	must(t, err)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestOpenRefusesBadOptions(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"no namespace":            {Config: Config{URL: "redis://127.0.0.1:1"}},
		"braces in the namespace": {Config: Config{URL: "redis://127.0.0.1:1"}, Namespace: "a{b}"},
		"no address":              {Namespace: "a"},
		"malformed URL":           {Namespace: "a", Config: Config{URL: "redis://u:secret@host:6379:1/x y"}},
		"unknown scheme":          {Namespace: "a", Config: Config{URL: "http://u:secret@127.0.0.1:1"}},
		"malformed database":      {Namespace: "a", Config: Config{URL: "redis://u:secret@127.0.0.1:1/secret"}},
	} {
		if _, err := Open(o); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpenDoesNotNeedRedis(t *testing.T) {
	t.Parallel()
	db, err := Open(Options{Namespace: "a", Config: Config{URL: "rediss://u:p@127.0.0.1:1/4"}, Timeout: time.Second})
	must(t, err)
	defer db.Close()
	if o := db.Client.(*redis.Client).Options(); o.TLSConfig == nil || o.DB != 4 || o.Password != "p" {
		t.Errorf("options %+v", o)
	}
	if err := db.Ping(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("ping: %v", err)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	testenv.WriteCertificate(t, cert, key, 1)
	files := config.ClientTLS{CAFile: cert, CertFile: cert, KeyFile: key}
	secure, err := files.Load()
	must(t, err)
	server := secure.Clone()
	server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, secure.RootCAs
	m := miniredis.NewMiniRedis()
	must(t, m.StartTLS(server))
	t.Cleanup(m.Close)
	for _, tt := range []struct {
		name string
		o    Options
		ok   bool
	}{
		{"files", Options{Config: Config{Addrs: []string{m.Addr()}, ClientTLS: files}}, true},
		{"files and a URL", Options{Config: Config{URL: config.Secret("rediss://" + m.Addr()), ClientTLS: files}}, true},
		{"contents", Options{Config: Config{Addrs: []string{m.Addr()}}, Secure: secure}, true},
		{"no client certificate", Options{Config: Config{Addrs: []string{m.Addr()}, ClientTLS: config.ClientTLS{CAFile: cert}}}, false},
		{"authorities of the system", Options{Config: Config{Addrs: []string{m.Addr()}, ClientTLS: config.ClientTLS{TLS: true, CertFile: cert, KeyFile: key}}}, false},
		{"no TLS", Options{Config: Config{Addrs: []string{m.Addr()}}}, false},
	} {
		tt.o.Namespace, tt.o.Timeout = "a", time.Second
		db, err := Open(tt.o)
		must(t, err)
		if err := db.Probe(t.Context()); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
		must(t, db.Close())
	}
	for name, files := range map[string]config.ClientTLS{
		"redis.caFile: open":                        {CAFile: filepath.Join(dir, "absent")},
		"redis.caFile: there is no PEM certificate": {CAFile: key},
		"redis.certFile and keyFile: ":              {CertFile: cert, KeyFile: cert},
	} {
		if _, err := Open(Options{Namespace: "a", Config: Config{Addrs: []string{m.Addr()}, ClientTLS: files}}); err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%v, want %s", err, name)
		}
	}
}

// The Sentinels say which server is the master. If it ends, they make its replica the
// master, and the client follows.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	master, replica := testenv.StartRedis(t, testenv.Fast), testenv.StartRedis(t, testenv.Fast)
	client := func(r *testenv.Redis) *redis.Client {
		o, err := redis.ParseURL(r.NewURL(t))
		must(t, err)
		c := redis.NewClient(o)
		t.Cleanup(func() { c.Close() })
		return c
	}
	host, port, err := net.SplitHostPort(client(master).Options().Addr)
	must(t, err)
	follower := client(replica)
	must(t, follower.Do(t.Context(), "REPLICAOF", host, port).Err())
	testenv.WaitFor(t, "the replica has all data", func() bool {
		return follower.InfoMap(t.Context(), "replication").Item("Replication", "master_link_status") == "up"
	})
	sentinel := testenv.StartSentinels(t, "mymaster", master, 1)[0]
	db, err := Open(Options{Namespace: "a", Config: Config{Addrs: []string{testenv.FreeAddress(t), sentinel}, MasterName: "mymaster"}, Timeout: time.Second})
	must(t, err)
	defer db.Close()
	must(t, db.Probe(t.Context()))
	watcher := redis.NewSentinelClient(&redis.Options{Addr: sentinel})
	defer watcher.Close()
	testenv.WaitFor(t, "the Sentinel knows the replica", func() bool {
		replicas, err := watcher.Replicas(t.Context(), "mymaster").Result()
		return err == nil && len(replicas) == 1
	})
	master.Kill()
	testenv.WaitFor(t, "the replica is the master", func() bool { return db.Probe(t.Context()) == nil })
}

// A replica takes the place of a Cluster's master that ends, and the client follows.
func TestClusterFailover(t *testing.T) {
	t.Parallel()
	nodes := testenv.StartRedisCluster(t, 3)
	addrs := make([]string, len(nodes))
	for i, r := range nodes {
		addrs[i] = r.Addr()
	}
	db, err := Open(Options{Namespace: "a", Config: Config{Addrs: addrs, Cluster: true}, Timeout: time.Second})
	must(t, err)
	defer db.Close()
	must(t, db.Probe(t.Context()))
	slot, err := db.Client.ClusterKeySlot(t.Context(), db.Key("probe")).Result()
	must(t, err)
	nodes.Owner(t, slot).Kill()
	wantErr := db.Probe(t.Context())
	if !errors.Is(wantErr, ErrUnavailable) {
		t.Errorf("without a master: %v, want ErrUnavailable", wantErr)
	}
	testenv.WaitFor(t, "the replica is the master", func() bool { return db.Probe(t.Context()) == nil })
}

func TestRestart(t *testing.T) {
	redistest.OnEachOwn(t, func(t *testing.T, s *redistest.Server) {
		db := open(t, s, func(o *Options) { o.Timeout = time.Second })
		must(t, db.Ping(t.Context()))
		s.Down()
		contract := aContract(1)
		for name, call := range map[string]func() error{
			"Ping": func() error { return db.Ping(t.Context()) },
			"Put":  func() error { return db.Contracts().Put(t.Context(), []node.Contract{contract}) },
			"Get": func() error {
				_, err := db.Contracts().Get(t.Context(), []node.ContractName{contract.Name()})
				return err
			},
			"Forget": func() error { return db.Contracts().Forget(t.Context(), contract.Name()) },
			"Tokens": func() error { _, err := db.Tokens().Get(t.Context(), node.TokenHash{}); return err },
			"Allow": func() error {
				_, ok, err := db.Allow(t.Context(), "ip", 1, 1)
				if ok {
					t.Error("Allow returned true with an error")
				}
				return err
			},
		} {
			if err := call(); !errors.Is(err, ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
		}
		s.Up()
		testenv.WaitFor(t, "Redis responds again", func() bool { return db.Ping(t.Context()) == nil })
	})
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	put := func(ctx context.Context, db *DB) error {
		return db.Contracts().Put(ctx, []node.Contract{aContract(1)})
	}
	t.Run("out of memory", func(t *testing.T) {
		t.Parallel()
		db := open(t, redistest.Own(t))
		must(t, db.Client.ConfigSet(t.Context(), "maxmemory", "1").Err())
		if err := put(t.Context(), db); !errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
	})
	t.Run("read-only replica", func(t *testing.T) {
		t.Parallel()
		db := open(t, redistest.Own(t))
		must(t, db.Client.SlaveOf(t.Context(), "127.0.0.1", "1").Err())
		if err := put(t.Context(), db); !errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
	})
	t.Run("error replies", func(t *testing.T) {
		t.Parallel()
		m := miniredis.RunT(t)
		db := open(t, &redistest.Server{Addr: m.Addr()})
		for text, retry := range map[string]bool{
			"LOADING Redis is loading the dataset in memory": true,
			"MASTERDOWN Link with MASTER is down":            true,
			"WRONGPASS invalid username-password pair":       true,
			"ERR max number of clients reached":              true,
			"LATER a state that this version does not know":  true,
			"ERR something else":                             false,
			"WRONGTYPE the value is of another kind":         false,
			"CROSSSLOT the keys are in different slots":      false,
		} {
			m.SetError(text)
			if err := db.Ping(t.Context()); err == nil || errors.Is(err, ErrUnavailable) != retry {
				t.Errorf("%v, want a retry: %v", err, retry)
			}
		}
	})
	t.Run("no response", func(t *testing.T) {
		t.Parallel()
		s := redistest.Own(t)
		db := open(t, s, func(o *Options) { o.Timeout = 50 * time.Millisecond })
		s.Pause()
		if err := put(t.Context(), db); !errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
	})
	t.Run("canceled by the caller", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := put(ctx, open(t, redistest.Miniredis(t)))
		if !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
	})
}

// A Redis that responds but refuses writes cannot queue jobs.
func TestProbe(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault func(*testing.T, *DB)
		words string
	}{
		{"full", func(t *testing.T, db *DB) { must(t, db.Client.ConfigSet(t.Context(), "maxmemory", "1").Err()) }, "OOM command not allowed"},
		{"read-only replica", func(t *testing.T, db *DB) { must(t, db.Client.SlaveOf(t.Context(), "127.0.0.1", "1").Err()) }, "READONLY"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := open(t, redistest.Own(t))
			must(t, db.Probe(t.Context()))
			if ttl := db.Client.TTL(t.Context(), db.Key("probe")).Val(); ttl <= 0 || ttl > probeLife {
				t.Errorf("the key of the probe lives for %v", ttl)
			}
			tt.fault(t, db)
			must(t, db.Ping(t.Context()))
			if err := db.Probe(t.Context()); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), tt.words) {
				t.Errorf("%v, want %q in it", err, tt.words)
			}
		})
	}
}

// Copies that were made under another incarnation of the database must not be found.
func TestCopiesOfAnotherIncarnation(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		db := open(t, s)
		contract, token := aContract(1), node.TokenHash{1}
		found := func() (contracts, tokens bool) {
			t.Helper()
			copies, err := db.Contracts().Get(t.Context(), []node.ContractName{contract.Name()})
			must(t, err)
			value, err := db.Tokens().Get(t.Context(), token)
			must(t, err)
			return copies[0] != nil, value != nil
		}
		for _, incarnation := range []string{"one", "two"} {
			db.SetIncarnation(incarnation)
			if contracts, tokens := found(); contracts || tokens {
				t.Errorf("incarnation %s: found a contract %v, a token %v of another incarnation", incarnation, contracts, tokens)
			}
			must(t, db.Contracts().Put(t.Context(), []node.Contract{contract}))
			must(t, db.Tokens().Put(t.Context(), token, []byte("x"), time.Minute))
			if contracts, tokens := found(); !contracts || !tokens {
				t.Errorf("incarnation %s: found a contract %v, a token %v", incarnation, contracts, tokens)
			}
		}
		must(t, db.Contracts().Forget(t.Context(), contract.Name()))
		must(t, db.Tokens().Forget(t.Context(), token))
		if contracts, tokens := found(); contracts || tokens {
			t.Errorf("after Forget: found a contract %v, a token %v", contracts, tokens)
		}
	})
}

func TestEmbedded(t *testing.T) {
	t.Parallel()
	db, err := Embedded(Options{Namespace: "laptop", Config: Config{URL: "redis://127.0.0.1:1"}})
	must(t, err)
	defer func() { must(t, db.Close()) }()
	must(t, db.Tokens().Put(t.Context(), node.TokenHash{}, []byte("t"), 100*time.Millisecond))
	testenv.WaitFor(t, "a key expires", func() bool {
		value, err := db.Tokens().Get(t.Context(), node.TokenHash{})
		must(t, err)
		return value == nil
	})
	stranger := redis.NewClient(&redis.Options{Addr: db.Client.(*redis.Client).Options().Addr})
	defer stranger.Close()
	if err := stranger.Keys(t.Context(), "*").Err(); err == nil {
		t.Error("a client without the password can read the keys")
	}
}
