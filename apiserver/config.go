package apiserver

import (
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/ops"
)

// Config is the section api of the configuration.
type Config struct {
	// The address of the farmers' listener, `host:port`. Without a host, the node
	// listens on all interfaces.
	Listen string `yaml:"listen" default:":5000"`

	Private ops.Config `yaml:",inline"`

	// TLS on the farmers' listener. If both files are empty, the listener uses plain
	// HTTP.
	TLS TLSConfig `yaml:"tls"`
	// The networks of the trusted load balancers, in CIDR notation. The node uses
	// `X-Forwarded-For` only in requests from these networks.
	TrustedProxies []netip.Prefix `yaml:"trustedProxies"`
	// The level at which the log has a line for each request.
	RequestLog slog.Level `yaml:"requestLog" default:"debug"`
	// Whether the log names the IP addresses of clients: in the lines for requests, and when
	// a farmer joins.
	LogClients bool `yaml:"logClients" default:"true"`
	// The maximum size of the body of a request for several contracts, before and after
	// decompression. The bodies of other requests have smaller limits.
	MaxBody config.ByteSize `yaml:"maxBody" default:"32MiB" range:"1KiB..1GiB"`
	// The maximum number of proofs in one request.
	MaxProofs int `yaml:"maxProofs" default:"10000" range:"1..1000000"`
	// The maximum number of proofs in one job. A request with more proofs becomes
	// several jobs, which several workers can process in parallel.
	PartSize int `yaml:"partSize" default:"100" range:"1..10000"`
	// How long a request waits for its verdicts. After that, the response is a 503
	// with `Retry-After`.
	AnswerTimeout time.Duration `yaml:"answerTimeout" default:"20s" range:"100ms..10m"`
	// How long the process still accepts requests after SIGTERM. During this time
	// `/readyz` fails, so that load balancers stop sending requests.
	DrainDelay time.Duration `yaml:"drainDelay" default:"5s" range:"0s..10m"`
	// How long the requests in flight may take to finish after `api.drainDelay`.
	ShutdownTimeout time.Duration `yaml:"shutdownTimeout" default:"25s" range:"0s..1h"`
	// How long a farmer may take to send the headers of a request.
	ReadHeaderTimeout time.Duration `yaml:"readHeaderTimeout" default:"10s" range:"100ms..1h"`
	// How long a farmer may take to send a whole request.
	ReadTimeout time.Duration `yaml:"readTimeout" default:"1m" range:"100ms..1h"`
	// How long the node may take to begin a response, and how long a farmer may take
	// to read each part of it. A list of more than 1000 farmers must arrive within this
	// time and one second for each 64 KiB. It must be more than `api.answerTimeout`.
	WriteTimeout time.Duration `yaml:"writeTimeout" default:"1m" range:"100ms..24h"`
	// How long an idle connection stays open.
	IdleTimeout time.Duration `yaml:"idleTimeout" default:"2m" range:"1s..24h"`
	// The maximum number of requests in flight. The response to a further request is a
	// 503 with `Retry-After`.
	MaxInFlight int `yaml:"maxInFlight" default:"1000" range:"1..1000000"`
	// The maximum number of bytes of request bodies that the process holds in memory. One
	// IP address can use a third of what the others leave, at most a quarter of the
	// whole. A further request waits, and its response is a 503 with `Retry-After` if
	// there is no room within 5 seconds.
	BodyBudget config.ByteSize `yaml:"bodyBudget" default:"32MiB" range:"4MiB..1TiB"`
	// The maximum number of connections from one IP address. The node closes a further connection. Connections from `api.trustedProxies`
	// do not count. With 0, there is no limit.
	ConnectionsPerIP int `yaml:"connectionsPerIP" default:"256" range:"0..1000000"`
	// The maximum number of requests in flight from one IP address. The response to a further request is a 503 with `Retry-After`.
	// With 0, there is no limit.
	RequestsPerIP int `yaml:"requestsPerIP" default:"64" range:"0..1000000"`
	// Limits on the requests of one farmer. All replicas count together. The response
	// to a request above a limit is a 503 with `Retry-After`. It is not a 4xx, because
	// deployed farmers repeat a request after a 503, but may treat any 4xx as final.
	RateLimits RateLimits `yaml:"rateLimits"`
}

// TLSConfig is a certificate and its key.
type TLSConfig struct {
	// The PEM file with the certificate chain.
	CertFile string `yaml:"certFile"`
	// The PEM file with the certificate's private key.
	KeyFile string `yaml:"keyFile"`
}

// RateLimits are the limits on the rate of requests.
type RateLimits struct {
	// The limit for each IP address.
	PerIP RateLimit `yaml:"perIP"`
	// The limit for each token.
	PerToken RateLimit `yaml:"perToken"`
}

// RateLimit is a token bucket.
type RateLimit struct {
	// The maximum average number of requests per second. With 0, there is no limit.
	// The default is more than a farmer with thousands of contracts needs, even if it
	// sends one request for each contract.
	Rate float64 `yaml:"rate" default:"500" range:"0..1000000"`
	// The maximum number of requests in a burst after a pause.
	Burst int `yaml:"burst" default:"10000" range:"0..1000000"`
}

// Validate implements [config.Validator].
func (c Config) Validate(p *config.Problems) {
	p.Check("listen", config.CheckAddress(c.Listen))
	if c.Listen == c.Private.Listen && !strings.HasSuffix(c.Listen, ":0") { // with port 0, the system chooses a free port
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
	// The minimum balance of an address on the whitelist, in whole SJCX. An address with
	// less keeps what it has, and gets no new tokens.
	MinBalance int64 `yaml:"minBalance" default:"10000" range:"0..9007199254740992"`
}

// ContractsConfig is the section contracts of the configuration. Its defaults
// are the limits of PROTOCOL.md, section 2.
type ContractsConfig struct {
	// How long a farmer may take to send the proof for a challenge, in whole seconds.
	Interval time.Duration `yaml:"interval" default:"300s" range:"1s..720h"`
	// The maximum number of tokens for one IP address. IPv6 addresses with a common prefix count
	// as one, see `contracts.ipv6Prefix`.
	TokensPerIP int `yaml:"tokensPerIP" default:"5" range:"1..1000000"`
	// The length of the prefix, in bits, by which all limits for each IP address
	// count IPv6 addresses. A provider usually gives each customer all addresses
	// with one prefix of 64 bits.
	IPv6Prefix int `yaml:"ipv6Prefix" default:"64" range:"32..128"`
	// The maximum number of contracts for one `/chunk` request.
	ContractsPerRequest int `yaml:"contractsPerRequest" default:"10" range:"1..10000"`
	// The maximum total size of the contracts of one SJCX address, over all its
	// tokens.
	BytesPerAddress config.ByteSize `yaml:"bytesPerAddress" default:"1GiB" range:"1..1024TiB"`
	// The maximum number of contracts of one token that it has not proved once, or
	// as many as it has proved, if that is more. An SJCX address and an IP address may
	// have four times as many. A `/chunk` request beyond the limit gets fewer
	// contracts, or none. 0 for no limit.
	UnprovenPerToken int `yaml:"unprovenPerToken" default:"20" range:"0..1000000"`
	// The same limit for the bytes of these contracts; 0 for no limit. A farmer gets
	// a larger chunk only if all its contracts are proved.
	UnprovenBytesPerToken config.ByteSize `yaml:"unprovenBytesPerToken" default:"64MiB" range:"0..1024TiB"`
	// The largest share of the waiting chunks that one token may have without having
	// proved them once, but at least one contract; 0 for no limit.
	InventoryShare float64 `yaml:"inventoryShare" default:"0.1" range:"0..1"`
	// How long the node keeps a token that never had a contract; 0 for ever.
	UnusedTokenLife time.Duration `yaml:"unusedTokenLife" default:"24h" range:"0s..87600h"`
	// The requested size if a `/chunk/{token}` request does not give a size.
	DefaultRequestSize config.ByteSize `yaml:"defaultRequestSize" default:"32KiB" range:"1..1024TiB"`
	// The maximum number of characters in a signed message.
	MessageLength int `yaml:"messageLength" default:"1024" range:"1..65536"`
	// The maximum number of different wrong proofs for one challenge. After that, the
	// node rejects all further proofs. A value above 256 counts as 256.
	WrongAnswers int `yaml:"wrongAnswers" default:"8" range:"1..1000"`
	// How long the node may hold all deadlines if it seems that no farmer can reach it;
	// 0 for never. A farmer that is the only one, and dies, keeps its contracts for this
	// long.
	UnreachableHold time.Duration `yaml:"unreachableHold" default:"1h" range:"0s..24h"`
	// How long the node keeps the record of an expired contract.
	Retention time.Duration `yaml:"retention" default:"720h" range:"0s..87600h"`
}

// Validate implements [config.Validator].
func (c ContractsConfig) Validate(p *config.Problems) {
	if c.Interval%time.Second != 0 {
		p.Add("interval", "must be whole seconds, is %v", c.Interval)
	}
}
