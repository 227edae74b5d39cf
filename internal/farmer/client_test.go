package farmer

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// recorder is a node that records the last request and sends a fixed response.
type recorder struct {
	method, path string
	header       http.Header
	body, from   string
	response     string
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.method, r.path, r.header, r.body = req.Method, req.URL.EscapedPath(), req.Header, string(body)
	r.from, _, _ = net.SplitHostPort(req.RemoteAddr)
	io.WriteString(w, r.response)
}

func newRecorder(t *testing.T, response string, cfg ClientConfig) (*recorder, *Client) {
	t.Helper()
	r := &recorder{response: response}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	client, err := NewClient(server.URL, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return r, client
}

// TestClientExplainsTLS checks what errors of TLS tell the user to do.
func TestClientExplainsTLS(t *testing.T) {
	t.Parallel()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	pool := x509.NewCertPool()
	pool.AddCert(secure.Certificate())
	for want, test := range map[string]struct {
		url string
		tls *tls.Config
	}{
		"name it with --ca-file":            {secure.URL, nil},
		"use a name in the URL":             {secure.URL, &tls.Config{RootCAs: pool, ServerName: "elsewhere.example"}},
		"check this machine's clock":        {secure.URL, &tls.Config{RootCAs: pool, Time: func() time.Time { return time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC) }}},
		"begin the URL with http://":        {strings.Replace(plain.URL, "http:", "https:", 1), nil},
		"404 Not Found: 404 page not found": {secure.URL, &tls.Config{RootCAs: pool}},
	} {
		client, err := NewClient(test.url, ClientConfig{TLS: test.tls})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		if _, err := client.Heartbeat(t.Context(), "token"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestClientRoutes(t *testing.T) {
	t.Parallel()
	const registration = `{"token": "00ff", "type": "Merkle", "heartbeat": {}}`
	tests := []struct {
		name, response string
		call           func(*Client) error
		method, path   string
		body           string
	}{
		{"new", registration, func(c *Client) error {
			_, err := c.NewToken(t.Context(), "a/b", nil)
			return err
		}, "GET", "/new/a%2Fb", ""},
		{"new with ownership", registration, func(c *Client) error {
			_, err := c.NewToken(t.Context(), "a", &Ownership{"hello", "c2ln"})
			return err
		}, "POST", "/new/a", `{"message":"hello","signature":"c2ln"}`},
		{"heartbeat", registration, func(c *Client) error {
			_, err := c.Heartbeat(t.Context(), "t")
			return err
		}, "GET", "/heartbeat/t", ""},
		{"chunk", `{"chunks": []}`, func(c *Client) error {
			for _, err := range c.Chunks(t.Context(), "t", 0) {
				return err
			}
			return nil
		}, "GET", "/chunk/t", ""},
		{"chunk of a size", `{"chunks": []}`, func(c *Client) error {
			for _, err := range c.Chunks(t.Context(), "t", 70) {
				return err
			}
			return nil
		}, "GET", "/chunk/t/70", ""},
		{"all challenges", `{"challenges": []}`, func(c *Client) error {
			_, err := c.Challenges(t.Context(), "t", nil)
			return err
		}, "GET", "/challenge/t", ""},
		{"challenges", `{"challenges": [{"file_hash": "h", "error": "contract expired"}, {"challenge": {}, "due": 3, "answered": true}]}`, func(c *Client) error {
			got, err := c.Challenges(t.Context(), "t", []string{"h"})
			if len(got) != 2 || got[0].Error != "contract expired" {
				t.Fatalf("challenges: %+v", got)
			}
			if !got[1].Answered || got[1].DueAt() != got[1].Received.Add(3*time.Second) {
				t.Errorf("challenge: %+v", got[1])
			}
			return err
		}, "POST", "/challenge/t", `{"hashes":["h"]}`},
		{"answers", `{"report": [{"file_hash": "h", "status": "ok"}]}`, func(c *Client) error {
			got, err := c.Answers(t.Context(), "t", []Proof{{"h", json.RawMessage(`"p"`)}})
			if len(got) != 1 || !got[0].OK() {
				t.Errorf("report: %+v", got)
			}
			return err
		}, "POST", "/answer/t", `{"proofs":[{"file_hash":"h","proof":"p"}]}`},
		{"status list", `{"farmers": [{"id": "f", "location": {"country": null}, "uptime": 99.5}]}`, func(c *Client) error {
			got, err := c.StatusList(t.Context(), StatusQuery{Online: true, Sort: "size", Descending: true, Limit: 5, Page: 2})
			if len(got) != 1 || got[0].ID != "f" || got[0].Uptime != 99.5 {
				t.Errorf("farmers: %+v", got)
			}
			return err
		}, "GET", "/status/list/online/by/d/size/5/2", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, client := newRecorder(t, tt.response, ClientConfig{})
			if err := tt.call(client); err != nil {
				t.Fatal(err)
			}
			check(t, "method", r.method, tt.method)
			check(t, "path", r.path, apiPath+tt.path)
			check(t, "body", r.body, tt.body)
		})
	}
}

func TestClientSendsProofsAsRealFarmersDo(t *testing.T) {
	t.Parallel()
	r, client := newRecorder(t, `{"report": []}`, ClientConfig{})
	if _, err := client.Answers(t.Context(), "t", []Proof{{"h", json.RawMessage(`"p"`)}}); err != nil {
		t.Fatal(err)
	}
	check(t, "Content-Encoding", r.header.Get("Content-Encoding"), "gzip")
	check(t, "body", r.body, `{"proofs":[{"file_hash":"h","proof":"p"}]}`)
}

func TestClientCallsFromItsLocalAddress(t *testing.T) {
	t.Parallel()
	r, client := newRecorder(t, `{"farmers": []}`, ClientConfig{LocalAddr: netip.MustParseAddr("127.0.0.7")})
	if _, err := client.StatusList(t.Context(), StatusQuery{}); err != nil {
		t.Skipf("this machine has only one loopback address: %v", err)
	}
	check(t, "from", r.from, "127.0.0.7")
}

func TestClientErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		status    int
		retry     string
		body      string
		want      Error
		temporary bool
	}{
		{"refused", 400, "", `{"status": "error", "message": "No."}`, Error{Op: "heartbeat", Status: 400, Message: "No.", FromNode: true}, false},
		{"busy", 503, "5", `{"status": "error", "message": "Busy."}`, Error{Op: "heartbeat", Status: 503, Message: "Busy.", FromNode: true, RetryAfter: 5 * time.Second}, true},
		{"too many", 429, "-5", `{"status": "error", "message": ""}`, Error{Op: "heartbeat", Status: 429, FromNode: true}, true},
		{"proxy", 404, "soon", "<html>\nnothing here", Error{Op: "heartbeat", Status: 404}, false},
		{"long", 500, "", strings.Repeat("x", 1<<20), Error{Op: "heartbeat", Status: 500, Message: strings.Repeat("x", maxMessage)}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", tt.retry)
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.body)
			}))
			defer server.Close()
			client, err := NewClient(server.URL, ClientConfig{})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			_, err = client.Heartbeat(t.Context(), "token")
			got, ok := errors.AsType[*Error](err)
			if !ok || *got != tt.want {
				t.Errorf("error: %+v, want %+v", err, tt.want)
			}
			check(t, "temporary", Temporary(err), tt.temporary)
		})
	}
}

func TestRetryAfterAsADate(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	check(t, "later", retryAfter("Wed, 02 Jan 2030 03:04:15 GMT", now), 10*time.Second)
	check(t, "past", retryAfter("Wed, 02 Jan 2030 03:04:00 GMT", now), time.Duration(0))
}

func TestClientErrorsHoldNoToken(t *testing.T) {
	t.Parallel()
	client, err := NewClient("http://127.0.0.1:1", ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Heartbeat(t.Context(), "5ec2e7")
	if err == nil || strings.Contains(err.Error(), "5ec2e7") {
		t.Errorf("error: %v", err)
	}
	check(t, "temporary", Temporary(err), true)
}

// The client must yield each contract before the node sends the next contract, so
// that large tags do not accumulate.
func TestClientStreamsChunks(t *testing.T) {
	t.Parallel()
	hash := strings.Repeat("0", 64)
	received := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"note": [1], "chunks": [`)
		for i := range 3 {
			if i > 0 {
				io.WriteString(w, ",")
			}
			io.WriteString(w, `{"file_hash": "`+hash+`", "seed": "s", "size": 1, "challenge": 1, "tag": "`)
			io.WriteString(w, strings.Repeat("A", 1<<20)+`", "due": 60}`)
			if i == 2 {
				return // the response ends early
			}
			http.NewResponseController(w).Flush()
			select {
			case <-received:
			case <-r.Context().Done():
				return
			}
		}
	}))
	defer server.Close()
	client, err := NewClient(server.URL, ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	complete := 0
	var last error
	for chunk, err := range client.Chunks(t.Context(), "t", 1<<20) {
		if last = err; err != nil {
			break
		}
		complete++
		check(t, "tag", len(chunk.Tag), 1<<20+2)
		if complete < 3 {
			received <- struct{}{}
		}
	}
	check(t, "complete chunks", complete, 3)
	if !errors.Is(last, io.ErrUnexpectedEOF) {
		t.Errorf("end: %v, want %v", last, io.ErrUnexpectedEOF)
	}
}

func TestClientLimitsAResponse(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		line := []byte(strings.Repeat("A", 1<<20))
		io.WriteString(w, `{"msg": "`)
		for {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	client, err := NewClient(server.URL, ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var response any
	err = client.object(t.Context(), call{op: "status list", limit: 1 << 20}, &response)
	if _, ok := errors.AsType[*http.MaxBytesError](err); !ok {
		t.Errorf("endless response: %v", err)
	}
}

func TestNewClientAddress(t *testing.T) {
	t.Parallel()
	tests := []struct{ url, path string }{
		{"http://node", apiPath},
		{"https://node:8443/", apiPath},
		{"http://node/api/downstream", apiPath},
		{"http://node/api/downstream/v1/", apiPath},
		{"http://node/behind/a?x#y", "/behind/a" + apiPath},
		{"node:8080", ""},
		{"ftp://node", ""},
		{"http://", ""},
		{"://", ""},
	}
	for _, tt := range tests {
		client, err := NewClient(tt.url, ClientConfig{})
		if tt.path == "" {
			if !errors.Is(err, ErrNodeURL) {
				t.Errorf("%s: %v, want %v", tt.url, err, ErrNodeURL)
			} else if tt.url == "node:8080" && !strings.Contains(err.Error(), "did you mean http://node:8080?") {
				t.Errorf("%v, want a hint", err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.url, err)
			continue
		}
		check(t, tt.url, client.base.Path, tt.path)
	}
}

func TestFarmerID(t *testing.T) {
	t.Parallel()
	// The id is the first 10 bytes of the SHA-256 of 16 zero bytes.
	check(t, "id", FarmerID(strings.Repeat("00", 16)), "374708fff7719dd5979e")
	check(t, "id of an invalid token", FarmerID("not hex"), "")
}
