package apiserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/driveshare/downstream-node/apiserver/page"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/contracts"
	"github.com/driveshare/downstream-node/internal/geo"
	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/queue"
	"github.com/driveshare/downstream-node/internal/redisdb"
	"github.com/driveshare/downstream-node/internal/roster"
	"github.com/driveshare/downstream-node/internal/store"
)

// Deps are the parts of a node that the server uses.
type Deps struct {
	Store    *store.Store
	Redis    *redisdb.DB
	Queue    *queue.Queue
	Keys     *keyring.Ring
	Geo      *geo.Reader
	Log      *slog.Logger
	Registry prometheus.Registerer
	Roster   roster.Options
	Now      func() time.Time
	Known    func() time.Time // no farmer is told that it missed a later deadline; see node.KnownUntil
	Proofs   *node.ProofLog
	Detector *keyring.Detector

	Redundancy int64 // how many farmers should hold each file

	Page    page.Config
	Version string // of the program, for the page
	// InventPlaces invents the place of a new farmer if its IP address has none, for the demo.
	InventPlaces bool
}

// Server is an API replica.
type Server struct {
	Deps
	cfg       Config
	access    AccessConfig
	limits    ContractsConfig
	contracts *contracts.Reader
	roster    *roster.Roster
	page      *page.Page
	metrics   *metrics
	replies   *queue.Replies
	load      *load
	tokens    cache[node.TokenHash, store.Token]
	histories cache[historyQuery, []node.Span] // of queries without from and to
	ranges    cache[historyQuery, []node.Span] // of queries with from or to
	inventory cache[int64, int64]              // the number of waiting chunks of a heartbeat key
	copies    cache[struct{}, copiesStatus]
	ipKey     []byte                 // the key for computing ip_hash
	moves     cache[int64, struct{}] // the tokens whose move was tried in the last moveInterval
	draining  atomic.Bool
}

// New makes a server. The caller must also call Run, because no request gets a
// verdict without it.
func New(ctx context.Context, cfg Config, access AccessConfig, limits ContractsConfig, deps Deps) (*Server, error) {
	ipKey, err := deps.Store.IPHashKey(ctx)
	if err != nil {
		return nil, err
	}
	clock := deps.Now
	deps.Now = func() time.Time { return clock().UTC().Truncate(time.Microsecond) }
	if deps.Proofs == nil {
		deps.Proofs = new(node.ProofLog)
	}
	stated := func(now time.Time) time.Time { return node.StatedAt(now, deps.Known()) }
	deps.Roster.StatedAt = stated
	farmers := roster.New(deps.Store, deps.Roster, deps.Log, deps.Now)
	records := struct {
		*roster.Roster
		*store.Store
	}{farmers, deps.Store}
	options := page.Options{
		GeoLite2: deps.Geo.GeoLite2, Log: deps.Log, Now: deps.Now, StatedAt: stated, Redundancy: deps.Redundancy,
		Config: deps.Page, Version: deps.Version, Invented: deps.InventPlaces,
		Rules: page.Rules{
			Interval: limits.Interval, Signatures: access.Signatures, Whitelist: access.Whitelist, MinBalance: access.MinBalance,
			BytesPerAddress: int64(limits.BytesPerAddress),
		},
	}
	if deps.Keys != nil { // a test of the page has no keys
		options.Scheme = func() string { return string(deps.Keys.Current().Type()) }
	}
	return &Server{
		Deps:      deps,
		cfg:       cfg,
		access:    access,
		limits:    limits,
		contracts: contracts.NewReader(deps.Redis, deps.Store, deps.Log),
		roster:    farmers,
		page:      page.New(records, options),
		metrics:   newMetrics(deps.Registry),
		replies:   deps.Queue.NewReplies(),
		load:      newLoad(cfg, limits.IPv6Prefix),
		tokens:    cache[node.TokenHash, store.Token]{life: tokenLife, max: maxTokens},
		histories: cache[historyQuery, []node.Span]{life: historyLife, max: maxHistories},
		ranges:    cache[historyQuery, []node.Span]{life: historyLife, max: maxHistories},
		moves:     cache[int64, struct{}]{life: moveInterval, max: maxTokens},
		inventory: cache[int64, int64]{life: waitingLife, max: maxTokens},
		copies:    cache[struct{}, copiesStatus]{life: copiesLife, max: 1},
		ipKey:     ipKey,
	}, nil
}

// Run receives the workers' replies and updates the roster until ctx ends. Run must
// end after the HTTP server, because the server's handlers wait for the replies.
func (s *Server) Run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { s.roster.Run(ctx) })
	s.replies.Run(ctx)
	running.Wait()
}

// DropCopies drops all copies of rows from the memory of this replica, because the
// database was set back to an earlier state.
func (s *Server) DropCopies() {
	s.tokens.clear()
	s.histories.clear()
	s.ranges.clear()
	s.copies.clear()
	s.roster.Reset()
}

// Handler serves the farmers' routes.
func (s *Server) Handler() http.Handler {
	return s.observe(s.cleanPath(s.limitAddress(s.router())))
}

// Listen opens the farmers' port. The listener limits the connections from one client.
// If cfg has a certificate, Listen loads it and the listener uses TLS. When a farmer
// connects and the last load is older than certificateAge, the listener loads the
// certificate files again.
func Listen(ctx context.Context, cfg Config, limits ContractsConfig, log *slog.Logger) (net.Listener, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return nil, err
	}
	ln = &limitedListener{
		Listener: ln,
		trusted:  cfg.TrustedProxies,
		most:     cfg.ConnectionsPerIP,
		prefix:   limits.IPv6Prefix,
		open:     make(map[netip.Prefix]int),
	}
	if cfg.TLS.CertFile == "" {
		return ln, nil
	}
	files := &certificateFiles{TLSConfig: cfg.TLS, log: log}
	if err := files.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("api.tls: %w", err), ln.Close())
	}
	return tls.NewListener(ln, &tls.Config{
		GetCertificate: files.get,
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
	}), nil
}

// certificateFiles holds a certificate and reloads it from its files.
type certificateFiles struct {
	TLSConfig
	log *slog.Logger

	mu      sync.Mutex
	loaded  *tls.Certificate
	checked time.Time
}

const certificateAge = time.Second

func (f *certificateFiles) load() error {
	f.checked = time.Now()
	cert, err := os.ReadFile(f.CertFile)
	if err != nil {
		return err
	}
	key, err := os.ReadFile(f.KeyFile)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(config.TrimBOM(cert), config.TrimBOM(key))
	if err != nil {
		return fmt.Errorf("keyFile %s and certFile %s: %w", f.KeyFile, f.CertFile, err)
	}
	if f.loaded == nil || !bytes.Equal(f.loaded.Certificate[0], pair.Certificate[0]) {
		if end := pair.Leaf.NotAfter; time.Until(end) < RenewBefore {
			f.log.Warn("the certificate of api.tls has expired or expires soon: renew it; no restart is needed", "file", f.CertFile, "expires", end)
		}
	}
	f.loaded = &pair
	return nil
}

// RenewBefore is how long before its end a certificate should have been renewed.
const RenewBefore = 14 * 24 * time.Hour

// get returns the certificate. If the files cannot be used, it returns the previous
// certificate.
func (f *certificateFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.checked) >= certificateAge {
		if err := f.load(); err != nil {
			f.log.Error("the certificate files cannot be used; the previous certificate stays", "error", err)
		}
	}
	return f.loaded, nil
}

// Serve serves farmers on ln until ctx ends. Then it calls drain, which must turn
// readiness off. Serve still accepts requests for DrainDelay. After that it waits
// for the requests in flight, but not longer than ShutdownTimeout.
func (s *Server) Serve(ctx context.Context, ln net.Listener, drain func()) error {
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: s.cfg.ReadHeaderTimeout,
		ReadTimeout:       s.cfg.ReadTimeout,
		WriteTimeout:      s.cfg.WriteTimeout,
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	drain()
	s.draining.Store(true)
	time.Sleep(s.cfg.DrainDelay)
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.ShutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(finish); err != nil {
		s.Log.Warn("requests cut off at shutdown", "error", err)
		return srv.Close()
	}
	return nil
}
