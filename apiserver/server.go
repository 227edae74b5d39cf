package apiserver

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/driveshare/downstream-node/apiserver/page"
	"github.com/driveshare/downstream-node/internal/contracts"
	"github.com/driveshare/downstream-node/internal/geo"
	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/queue"
	"github.com/driveshare/downstream-node/internal/redisdb"
	"github.com/driveshare/downstream-node/internal/roster"
	"github.com/driveshare/downstream-node/internal/store"
)

// Rate is a share of requests: so many per second, and so many at once.
// PerSecond 0 means no limit.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Options are what an API replica needs to know beside its deps. Every field
// must be set; internal/config has the defaults.
type Options struct {
	TrustedProxies []netip.Prefix
	MaxBody        int64 // bytes of a request, after decompression
	MaxProofs      int   // proofs, or hashes, in one request
	MaxInFlight    int   // requests at once
	PartSize       int   // proofs in one job
	AnswerTimeout  time.Duration
	WriteTimeout   time.Duration // without progress in writing an answer
	Roster         roster.Options
	PerAddress     Rate
	PerToken       Rate

	Whitelist  bool // only whitelisted addresses get tokens
	Signatures bool // only owners of an address get tokens for it

	Interval            time.Duration
	TokensPerIP         int
	ContractsPerRequest int
	BytesPerAddress     int64
	DefaultRequestSize  int64
	MessageLength       int // characters of a signed message
	WrongAnswers        int // distinct wrong proofs per challenge
}

// Server answers farmers.
type Server struct {
	opt       Options
	store     *store.Store
	contracts *contracts.Reader
	roster    *roster.Roster
	page      *page.Page
	redis     *redisdb.DB
	queue     *queue.Queue
	keys      *keyring.Ring
	geo       *geo.Reader
	log       *slog.Logger
	metrics   *metrics
	replies   *queue.Replies
	slots     chan struct{} // a place for each request under way
	lists     chan struct{} // a place for each long list under way
	tokens    tokenCache
	recent    recentHistories
	ipKey     []byte // keys ip_hash
	now       func() time.Time

	draining atomic.Bool
}

// Deps are the parts of the node that the server works with.
type Deps struct {
	Store    *store.Store
	Redis    *redisdb.DB
	Queue    *queue.Queue
	Keys     *keyring.Ring
	Geo      *geo.Reader
	Log      *slog.Logger
	Registry prometheus.Registerer
	Now      func() time.Time // nil means time.Now
}

// New makes a server. Run must be running for answers to be judged.
func New(ctx context.Context, deps Deps, opt Options) (*Server, error) {
	ipKey, err := deps.Store.IPHashKey(ctx)
	if err != nil {
		return nil, err
	}
	clock := deps.Now
	if clock == nil {
		clock = time.Now
	}
	now := func() time.Time { return clock().UTC().Truncate(time.Microsecond) }
	farmers := roster.New(deps.Store, opt.Roster, deps.Log, now)
	shown, err := page.New(&pageRecords{farmers, deps.Store, now}, page.Options{GeoLite2: deps.Geo.GeoLite2, Log: deps.Log, Now: now})
	if err != nil {
		return nil, err
	}
	return &Server{
		opt:       opt,
		store:     deps.Store,
		contracts: contracts.NewReader(deps.Redis, deps.Store, deps.Log),
		roster:    farmers,
		page:      shown,
		redis:     deps.Redis,
		queue:     deps.Queue,
		keys:      deps.Keys,
		geo:       deps.Geo,
		log:       deps.Log,
		metrics:   newMetrics(deps.Registry),
		replies:   deps.Queue.NewReplies(),
		slots:     make(chan struct{}, opt.MaxInFlight),
		lists:     make(chan struct{}, longLists),
		ipKey:     ipKey,
		now:       now,
	}, nil
}

// Run receives the workers' replies, and keeps the farmers of the status
// routes fresh, until ctx ends. It must outlive the HTTP server, whose handlers
// wait for those replies.
func (s *Server) Run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { s.roster.Run(ctx) })
	s.replies.Run(ctx)
	running.Wait()
}

// Handler serves the farmers' routes.
func (s *Server) Handler() http.Handler {
	return s.observe(trimSlash(s.limitAddress(s.router())))
}

// admit takes a slot for a request, or says that all are taken.
func (s *Server) admit() bool {
	select {
	case s.slots <- struct{}{}:
		return true
	default:
		s.metrics.refused.Inc()
		return false
	}
}

func (s *Server) leave() { <-s.slots }
