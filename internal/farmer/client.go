package farmer

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ClientConfig configures a Client. The zero value is valid.
type ClientConfig struct {
	// HTTP makes the requests. If it is nil, NewClient makes an HTTP client.
	HTTP *http.Client
	// LocalAddr is the local IP address of the connections. It is used only if HTTP
	// is nil.
	LocalAddr netip.Addr
	// TLS is used if HTTP is nil; nil means TLS with the authorities of the system.
	TLS *tls.Config
	// Timeout limits a request. 0 means 30 s. Requests for contracts have a limit
	// of 10 min instead, because their tags can have many megabytes.
	Timeout time.Duration
}

// Client calls the routes of one node. It is safe for concurrent use and holds
// no token.
type Client struct {
	base    *url.URL
	http    *http.Client
	timeout time.Duration
}

const (
	// apiPath is the path of the API that the clients of farmers use.
	apiPath = "/api/downstream/v1"
	// chunkTimeout limits a request for contracts.
	chunkTimeout = 10 * time.Minute
	// maxResponse limits a response without tags, in bytes.
	maxResponse = 64 << 20
	// maxErrorBody limits how much of an error response is read, in bytes.
	maxErrorBody = 64 << 10
	// maxMessage limits the message of an [Error], in bytes.
	maxMessage = 300
)

// ErrNodeURL is returned if a text is not the URL of a node.
var ErrNodeURL = errors.New("a node's URL must have the form http://host:port")

// NewClient makes a client of the node at nodeURL. The URL can include or omit the
// path of the API.
func NewClient(nodeURL string, cfg ClientConfig) (*Client, error) {
	base, err := url.Parse(nodeURL)
	if !strings.Contains(nodeURL, "://") {
		return nil, fmt.Errorf("%q: %w; did you mean http://%s?", nodeURL, ErrNodeURL, nodeURL)
	}
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fmt.Errorf("%q: %w", nodeURL, ErrNodeURL)
	}
	base.RawQuery, base.Fragment = "", ""
	path := strings.TrimSuffix(base.Path, "/")
	path = strings.TrimSuffix(strings.TrimSuffix(path, "/v1"), "/api/downstream")
	base.Path, base.RawPath = path+apiPath, ""

	c := &Client{base: base, http: cfg.HTTP, timeout: cmp.Or(cfg.Timeout, 30*time.Second)}
	if c.http == nil {
		c.http = &http.Client{Transport: transportFrom(cfg)}
	}
	return c, nil
}

// transportFrom changes a copy of the default transport as cfg says.
func transportFrom(cfg ClientConfig) http.RoundTripper {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if cfg.TLS != nil {
		transport.TLSClientConfig = cfg.TLS
	}
	// This is more than the number of requests that a farmer runs at the same time.
	// The default of 2 would open a new connection for most of the requests.
	transport.MaxIdleConnsPerHost = 16
	if local := cfg.LocalAddr; local.IsValid() {
		dialer := &net.Dialer{
			Timeout:   10 * time.Second,
			LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0)),
		}
		transport.DialContext = dialer.DialContext
	}
	return transport
}

// Node returns the URL of the node, for messages.
func (c *Client) Node() string { return c.base.Scheme + "://" + c.base.Host }

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// call is one request of the protocol. It is a POST if it has a body, and otherwise
// a GET.
type call struct {
	op      string   // name of the operation, for errors
	path    []string // segments after the API's path, not yet escaped
	body    any      // sent as JSON; nil for no body
	header  http.Header
	timeout time.Duration // 0 for the client's timeout
	limit   int64         // maximum response in bytes; 0 for maxResponse
}

// do makes the call. If it succeeds, do passes the body of the response to read,
// with the time at which the body began to arrive.
func (c *Client) do(ctx context.Context, r call, read func(io.Reader, time.Time) error) error {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(r.timeout, c.timeout))
	defer cancel()
	req, err := c.request(ctx, r)
	if err != nil {
		return fmt.Errorf("%s: %w", r.op, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", r.op, explain(withoutURL(err)))
	}
	received := time.Now()
	body := http.MaxBytesReader(nil, resp.Body, cmp.Or(r.limit, maxResponse))
	defer func() {
		// Read the rest, up to a limit, so that the connection can be reused.
		io.CopyN(io.Discard, body, maxErrorBody)
		body.Close()
	}()
	if resp.StatusCode != http.StatusOK {
		return errorFrom(r.op, resp)
	}
	if err := read(body, received); err != nil {
		return fmt.Errorf("%s: reading the node's response: %w", r.op, err)
	}
	return nil
}

func (c *Client) request(ctx context.Context, r call) (*http.Request, error) {
	segments := make([]string, len(r.path))
	for i, segment := range r.path {
		segments[i] = url.PathEscape(segment)
	}
	method, body := http.MethodGet, io.Reader(nil)
	if r.body != nil {
		method = http.MethodPost
		text, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		// net/http can rewind this reader. So it can repeat a request if the node
		// has closed an idle connection.
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base.JoinPath(segments...).String(), body)
	if err != nil {
		return nil, withoutURL(err)
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// Error is a response that is not a success.
type Error struct {
	Op      string // the operation that failed
	Status  int    // HTTP status
	Message string // may be empty
	// FromNode reports whether the body is an error in the protocol's format. Such
	// a response comes from the node and not from a proxy.
	FromNode bool
	// RetryAfter is the wait that the node requests. It is 0 if the response has no
	// valid Retry-After header.
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %d %s", e.Op, e.Status, http.StatusText(e.Status))
	if e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

// Temporary reports whether the same request may succeed later.
func (e *Error) Temporary() bool {
	return e.Status >= 500 || e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout
}

// Temporary reports whether a request that failed with err is worth repeating. A
// request without a complete response is worth repeating.
func Temporary(err error) bool {
	if response, ok := errors.AsType[*Error](err); ok {
		return response.Temporary()
	}
	return err != nil
}

// errorFrom reads a response that is not a success.
func errorFrom(op string, resp *http.Response) *Error {
	e := &Error{
		Op:         op,
		Status:     resp.StatusCode,
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil {
		return e // the status is enough
	}
	e.Message, e.FromNode = errorMessage(body)
	return e
}

// errorMessage returns the message of an error body. If the body does not come
// from the node, it returns the body's first line, unless it is HTML.
func errorMessage(body []byte) (message string, fromNode bool) {
	var response struct {
		Status  string `json:"status"`
		Message string `json:"message"`
	}
	message = string(body)
	if json.Unmarshal(body, &response) == nil && response.Status == "error" {
		message, fromNode = response.Message, true
	}
	message, _, _ = strings.Cut(strings.TrimSpace(message), "\n")
	if !fromNode && strings.Contains(string(body), "HTTP request was sent to HTTPS port") { // nginx
		return "the client sent an HTTP request to an HTTPS server", false
	}
	if !fromNode && strings.HasPrefix(message, "<") {
		return "", false // the source of an HTML page says nothing to a person
	}
	message = strings.ToValidUTF8(message, "\uFFFD")
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "")
	}
	return message, fromNode
}

// retryAfter parses the header in both formats that HTTP allows. It returns 0 if
// the header is missing or invalid.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseInt(header, 10, 32); err == nil {
		return time.Duration(max(seconds, 0)) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// withoutURL removes the called URL from err. The URL holds the token, which
// must not appear in a log.
func withoutURL(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}

// ErrNoTLS means that the URL begins with https:// and the port that it names has no TLS.
var ErrNoTLS = errors.New("this port of the node has no TLS: begin the URL with http://")

// explain adds to the error of a request without a response what the user can do.
func explain(err error) error {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var name *net.DNSError
	hint := ""
	switch {
	case errors.As(err, &authority):
		hint = "this machine does not trust the authority of the node's certificate: get the authority's certificate from the node's operators, and name it with --ca-file"
	case errors.As(err, &host):
		hint = "the node's certificate is for another name: use a name in the URL that the certificate has"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		hint = "the node's certificate has expired or is not valid yet: check this machine's clock, and tell the node's operators"
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fmt.Errorf("%w; %w", err, ErrNoTLS)
	case errors.As(err, &name) && name.IsNotFound:
		hint = "no machine has this name: check the host in the URL"
	case errors.Is(err, syscall.ECONNREFUSED):
		hint = "no program listens there: check the host and the port in the URL, and that the node is running"
	default:
		return err
	}
	return fmt.Errorf("%w; %s", err, hint)
}
