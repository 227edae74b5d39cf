package apiserver

import (
	"net/netip"
	"strings"
	"time"

	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/ops"
)

// Config is the section api of the configuration.
type Config struct {
	// The address that farmers call, `host:port`. Without a host, all interfaces.
	Listen string `yaml:"listen" default:":5000"`

	Private ops.Config `yaml:",inline"`

	// TLS on the farmers' listener. If both files are empty, it speaks plain HTTP.
	TLS TLSConfig `yaml:"tls"`
	// The networks, in CIDR notation, of the load balancers whose
	// `X-Forwarded-For` is trusted. From all other networks the header is ignored.
	TrustedProxies []netip.Prefix `yaml:"trustedProxies"`
	// The most bytes of a request's body, after decompression.
	MaxBody config.ByteSize `yaml:"maxBody" default:"32MiB" range:"1KiB..1GiB"`
	// The most proofs in one request.
	MaxProofs int `yaml:"maxProofs" default:"10000" range:"1..1000000"`
	// The number of proofs of a request that go into one job. Several workers
	// share a request of more proofs.
	PartSize int `yaml:"partSize" default:"100" range:"1..10000"`
	// How long a request waits for its verdicts. After that the response is 503
	// with `Retry-After`.
	AnswerTimeout time.Duration `yaml:"answerTimeout" default:"20s" range:"100ms..10m"`
	// How long, after SIGTERM, the process still accepts requests while `/readyz`
	// already fails, so that load balancers notice first.
	DrainDelay time.Duration `yaml:"drainDelay" default:"5s" range:"0s..10m"`
	// How long, after that, running requests may take to finish.
	ShutdownTimeout time.Duration `yaml:"shutdownTimeout" default:"25s" range:"0s..1h"`
	// How long the headers of a request may take to arrive.
	ReadHeaderTimeout time.Duration `yaml:"readHeaderTimeout" default:"10s" range:"100ms..1h"`
	// How long a whole request may take to arrive.
	ReadTimeout time.Duration `yaml:"readTimeout" default:"1m" range:"100ms..1h"`
	// How long a response may make no progress, before its first byte or because
	// the farmer does not read; more than `api.answerTimeout`.
	WriteTimeout time.Duration `yaml:"writeTimeout" default:"1m" range:"100ms..24h"`
	// How long an idle connection stays open.
	IdleTimeout time.Duration `yaml:"idleTimeout" default:"2m" range:"1s..24h"`
	// The most requests at once; further ones get 503 and `Retry-After`.
	MaxInFlight int `yaml:"maxInFlight" default:"1000" range:"1..1000000"`
	// Limits on the requests of one farmer, shared by all replicas. Beyond them a
	// farmer gets 503 and `Retry-After`, because farmers in the field repeat a
	// request after 503 but may treat any 4xx as final.
	RateLimits RateLimits `yaml:"rateLimits"`
}

// TLSConfig is a certificate and its key.
type TLSConfig struct {
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
	// The long-term number of requests a second; 0 for no limit.
	Rate float64 `yaml:"rate" range:"0..1000000"`
	// The number of requests that may arrive at once after a pause.
	Burst int `yaml:"burst" range:"0..1000000"`
}

// Validate implements [config.Validator].
func (c Config) Validate(p *config.Problems) {
	p.Check("listen", config.CheckAddress(c.Listen))
	if c.Listen == c.Private.Listen && !strings.HasSuffix(c.Listen, ":0") { // port 0 is any free port
		p.Add("privateListen", "must not be %s", p.Key("listen"))
	}
	for _, proxy := range c.TrustedProxies {
		if proxy.Addr().Is4In6() {
			p.Add("trustedProxies", "%v must be written as IPv4", proxy)
		}
	}
	if c.WriteTimeout <= c.AnswerTimeout {
		p.Add("writeTimeout", "must be more than %s (%v), is %v", p.Key("answerTimeout"), c.AnswerTimeout, c.WriteTimeout)
	}
}

// Validate implements [config.Validator].
func (c TLSConfig) Validate(p *config.Problems) {
	if (c.CertFile == "") != (c.KeyFile == "") {
		p.Add("", "set both certFile and keyFile, or neither")
	}
}

// Validate implements [config.Validator].
func (l RateLimit) Validate(p *config.Problems) {
	if l.Rate > 0 && l.Burst == 0 {
		p.Add("burst", "must be at least 1 if there is a rate")
	}
}

// AccessConfig is the section access of the configuration.
type AccessConfig struct {
	// Whether an address must be on the whitelist.
	Whitelist bool `yaml:"whitelist" default:"true"`
	// Whether a farmer must prove with a signature that it owns its address.
	Signatures bool `yaml:"signatures" default:"true"`
	// The smallest balance, in whole SJCX, of an address that is loaded from the
	// whitelist.
	MinBalance int64 `yaml:"minBalance" default:"10000" range:"0..9007199254740992"`
}

// ContractsConfig is the section contracts of the configuration. Its defaults
// are the limits of PROTOCOL.md, section 2.
type ContractsConfig struct {
	// The time that a farmer has for each challenge, in whole seconds.
	Interval time.Duration `yaml:"interval" default:"300s" range:"1s..720h"`
	// The most tokens for one IP address.
	TokensPerIP int `yaml:"tokensPerIP" default:"5" range:"1..1000000"`
	// The most contracts for one `/chunk` request.
	ContractsPerRequest int `yaml:"contractsPerRequest" default:"10" range:"1..10000"`
	// The most bytes under contract for one SJCX address, over all its tokens.
	BytesPerAddress config.ByteSize `yaml:"bytesPerAddress" default:"1GiB" range:"1..1024TiB"`
	// The size that a `/chunk/{token}` request without a size asks for.
	DefaultRequestSize config.ByteSize `yaml:"defaultRequestSize" default:"32KiB" range:"1..1024TiB"`
	// The most characters of a signed message.
	MessageLength int `yaml:"messageLength" default:"1024" range:"1..65536"`
	// The most different wrong proofs for one challenge; further proofs are
	// rejected.
	WrongAnswers int `yaml:"wrongAnswers" default:"8" range:"1..1000"`
	// How long the record of an expired contract is kept.
	Retention time.Duration `yaml:"retention" default:"720h" range:"0s..87600h"`
}

// Validate implements [config.Validator].
func (c ContractsConfig) Validate(p *config.Problems) {
	if c.Interval%time.Second != 0 {
		p.Add("interval", "must be whole seconds, is %v", c.Interval)
	}
}
