package config

import (
	"net/netip"
	"time"
)

// API is the HTTP server that farmers call.
type API struct {
	// Where farmers are answered, `host:port`. Without a host, on all
	// interfaces.
	Listen string `yaml:"listen"`
	// Where `/healthz`, `/readyz` and `/metrics` are answered, `host:port`. Not
	// for farmers.
	PrivateListen string `yaml:"privateListen"`
	// Whether the private listener also answers `/debug/pprof`.
	Pprof bool `yaml:"pprof"`
	// TLS on the farmers' listener; plain HTTP where both files are empty.
	TLS TLS `yaml:"tls"`
	// The networks, in CIDR notation, of the load balancers whose
	// `X-Forwarded-For` is believed. From anywhere else the header is ignored.
	TrustedProxies []netip.Prefix `yaml:"trustedProxies"`
	// The most bytes that a request's body may have, after decompression.
	MaxBody ByteSize `yaml:"maxBody"`
	// The most proofs that one request may bring.
	MaxProofs int `yaml:"maxProofs"`
	// How many proofs of a request go into one job, so that a large request is
	// verified by several workers.
	PartSize int `yaml:"partSize"`
	// How long a request waits for its verdicts before it is answered with 503
	// and `Retry-After`.
	AnswerTimeout time.Duration `yaml:"answerTimeout"`
	// How long, after SIGTERM, requests are still accepted while `/readyz`
	// already fails, so that load balancers notice first.
	DrainDelay time.Duration `yaml:"drainDelay"`
	// How long, after that, requests that are under way may take to finish.
	ShutdownTimeout time.Duration `yaml:"shutdownTimeout"`
	// How long the headers of a request may take to arrive.
	ReadHeaderTimeout time.Duration `yaml:"readHeaderTimeout"`
	// How long a whole request may take to arrive.
	ReadTimeout time.Duration `yaml:"readTimeout"`
	// How long an answer may stand still, before it begins or while the farmer
	// does not read on; more than `api.answerTimeout`.
	WriteTimeout time.Duration `yaml:"writeTimeout"`
	// How long an idle connection is kept.
	IdleTimeout time.Duration `yaml:"idleTimeout"`
	// The most requests that are handled at once; the rest get 503 and
	// `Retry-After`.
	MaxInFlight int `yaml:"maxInFlight"`
	// Limits on the requests of one farmer, shared by all replicas. Beyond them
	// a farmer gets 503 and `Retry-After`: those in the field ask again after
	// that, and may take any 4xx as final.
	RateLimits RateLimits `yaml:"rateLimits"`
}

// TLS is a certificate and its key.
type TLS struct {
	// The file with the certificate chain, PEM.
	CertFile string `yaml:"certFile"`
	// The file with the certificate's private key, PEM.
	KeyFile string `yaml:"keyFile"`
}

// RateLimits are the limits on requests.
type RateLimits struct {
	// The limit for each IP address.
	PerIP RateLimit `yaml:"perIP"`
	// The limit for each token.
	PerToken RateLimit `yaml:"perToken"`
}

// RateLimit is a token bucket.
type RateLimit struct {
	// Requests a second in the long run; 0 for no limit.
	Rate float64 `yaml:"rate"`
	// Requests that may come at once after a pause.
	Burst int `yaml:"burst"`
}

// Worker is the pool that verifies proofs, stocks the inventory and sweeps.
type Worker struct {
	// Where `/healthz`, `/readyz` and `/metrics` are answered, `host:port`. In a
	// single process the API's private listener answers for both.
	PrivateListen string `yaml:"privateListen"`
	// Whether the private listener also answers `/debug/pprof`.
	Pprof bool `yaml:"pprof"`
	// How many jobs are verified at once; 0 for as many as there are processors
	// (GOMAXPROCS).
	Concurrency int `yaml:"concurrency"`
	// The most verdicts that are committed in one transaction.
	CommitBatch int `yaml:"commitBatch"`
	// How long a verdict waits for others to be committed with.
	CommitDelay time.Duration `yaml:"commitDelay"`
	// How long a job may take before it is given up.
	JobHardLimit time.Duration `yaml:"jobHardLimit"`
	// How long a job must have lain with another worker before it is taken over;
	// more than twice `worker.jobHardLimit`, so that no job is taken from a
	// worker that is still at it.
	ClaimIdle time.Duration `yaml:"claimIdle"`
	// How often a job is delivered before it is put aside in the dead-letter
	// stream.
	MaxDeliveries int `yaml:"maxDeliveries"`
	// How long, after SIGTERM, jobs in hand may take to finish; what is left is
	// handed back.
	DrainTimeout time.Duration `yaml:"drainTimeout"`
	// What this worker does.
	Duties Duties `yaml:"duties"`
}

// Duties are the kinds of work of a worker.
type Duties struct {
	// Whether it verifies proofs.
	Verify bool `yaml:"verify"`
	// Whether it encodes files for the inventory.
	Stock bool `yaml:"stock"`
	// Whether it sweeps.
	Sweep bool `yaml:"sweep"`
}
