package farmer

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// AnswerEncoding is how POST /answer is sent.
type AnswerEncoding int

const (
	// AsInTheField says Content-Encoding: gzip and sends the body as it is,
	// which is what the farmers in the field do.
	AsInTheField AnswerEncoding = iota
	// Compressed says gzip and means it.
	Compressed
	// Plain says nothing and sends the body as it is.
	Plain
)

// ClientConfig is how a Client reaches its node. The zero value is good.
type ClientConfig struct {
	// HTTP makes the requests, in place of a client of the Client's own.
	HTTP *http.Client
	// LocalAddr is the address to call from, where HTTP is nil.
	LocalAddr netip.Addr
	// Header is added to every request.
	Header http.Header
	// Encoding is how answers are sent.
	Encoding AnswerEncoding
	// Timeout bounds a request; 0 means 30 s. StreamTimeout does for /chunk,
	// whose tags can be many megabytes; 0 means 10 min.
	Timeout, StreamTimeout time.Duration
}

// Client calls the routes of one node. It is safe for concurrent use and
// holds no token of its own.
type Client struct {
	base                   *url.URL
	http                   *http.Client
	header                 http.Header
	encoding               AnswerEncoding
	timeout, streamTimeout time.Duration
}

// apiPath is where farmers in the field call.
const apiPath = "/api/downstream/v1"

// ErrNodeURL is returned for what is not the address of a node.
var ErrNodeURL = errors.New("a node's address looks like http://host:port")

// NewClient makes a client of the node at nodeURL, given with or without the
// path of the API.
func NewClient(nodeURL string, cfg ClientConfig) (*Client, error) {
	base, err := url.Parse(nodeURL)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fmt.Errorf("%q: %w", nodeURL, ErrNodeURL)
	}
	base.RawQuery, base.Fragment = "", ""
	path := strings.TrimSuffix(base.Path, "/")
	path = strings.TrimSuffix(strings.TrimSuffix(path, "/v1"), "/api/downstream")
	base.Path, base.RawPath = path+apiPath, ""

	c := &Client{
		base:          base,
		http:          cfg.HTTP,
		header:        cfg.Header.Clone(),
		encoding:      cfg.Encoding,
		timeout:       cmp.Or(cfg.Timeout, 30*time.Second),
		streamTimeout: cmp.Or(cfg.StreamTimeout, 10*time.Minute),
	}
	if c.http == nil {
		c.http = &http.Client{Transport: transportFrom(cfg.LocalAddr)}
	}
	return c, nil
}

// transportFrom is the default transport, with its own connections and, where
// one is given, a local address.
func transportFrom(local netip.Addr) http.RoundTripper {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// As many as a farmer has requests under way; the default of 2 would
	// open a connection anew for most of them.
	transport.MaxIdleConnsPerHost = 16
	if local.IsValid() {
		dialer := &net.Dialer{
			Timeout:   10 * time.Second,
			LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0)),
		}
		transport.DialContext = dialer.DialContext
	}
	return transport
}

// Node is the node's address, for messages.
func (c *Client) Node() string { return c.base.Scheme + "://" + c.base.Host }

// Close drops the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// call is one request of the protocol.
type call struct {
	op     string // for errors
	method string
	path   []string // segments after the API's path, not yet escaped
	body   any      // sent as JSON where not nil
	header http.Header
	gzip   bool // compress the body
}

// maxAnswer bounds the bytes of an answer that does not carry tags.
const maxAnswer = 64 << 20

// do makes the call and hands the body of a successful answer to read, with
// the moment at which it began to arrive.
func (c *Client) do(ctx context.Context, r call, limit int64, read func(io.Reader, time.Time) error) error {
	req, err := c.request(ctx, r)
	if err != nil {
		return fmt.Errorf("%s: %w", r.op, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", r.op, withoutURL(err))
	}
	received := time.Now()
	body := http.MaxBytesReader(nil, resp.Body, limit)
	defer func() {
		// Read to the end what little may be left, so that the connection
		// can be used again.
		io.CopyN(io.Discard, body, maxErrorBody)
		body.Close()
	}()
	if resp.StatusCode != http.StatusOK {
		return errorFrom(r.op, resp)
	}
	if err := read(body, received); err != nil {
		return fmt.Errorf("%s: reading the node's answer: %w", r.op, err)
	}
	return nil
}

func (c *Client) request(ctx context.Context, r call) (*http.Request, error) {
	target := *c.base
	segments := make([]string, len(r.path))
	for i, segment := range r.path {
		segments[i] = url.PathEscape(segment)
	}
	target.Path = c.base.Path + "/" + strings.Join(r.path, "/")
	target.RawPath = c.base.EscapedPath() + "/" + strings.Join(segments, "/")

	body, err := encodeBody(r)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target.String(), body)
	if err != nil {
		return nil, withoutURL(err)
	}
	for name, values := range c.header {
		req.Header[name] = values
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// encodeBody gives a reader that net/http can rewind, for it repeats a
// request on a kept connection that the node has closed.
func encodeBody(r call) (io.Reader, error) {
	if r.body == nil {
		return nil, nil
	}
	text, err := json.Marshal(r.body)
	if err != nil {
		return nil, err
	}
	if !r.gzip {
		return bytes.NewReader(text), nil
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return bytes.NewReader(packed.Bytes()), nil
}
