package apiserver_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/apiserver"
	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

func serveConfig() apiserver.Config {
	c := testnode.Config().API
	c.Listen, c.DrainDelay, c.ShutdownTimeout = "127.0.0.1:0", 0, 20*time.Second
	return c
}

// served is a replica with its own listener.
type served struct {
	*replica
	drained chan struct{} // closed when Serve calls drain
	ended   chan error
	stop    context.CancelFunc
}

func (h *harness) serve(t *testing.T, l apiserver.Config) *served {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ln, err := apiserver.Listen(ctx, l, app.Default().Contracts, slog.New(slog.NewTextHandler(h.Logs, nil)))
	must(t, err)
	s := &served{h.open(t, func(c *app.Config) { c.API = l }), make(chan struct{}), make(chan error, 1), stop}
	scheme := "http://"
	if l.TLS.CertFile != "" {
		scheme = "https://"
	}
	s.URL = scheme + ln.Addr().String()
	go func() { s.ended <- s.API.Serve(ctx, ln, func() { close(s.drained) }) }()
	t.Cleanup(stop)
	return s
}

// After stop, the replica still serves requests for DrainDelay, but closes each
// connection after the response. The requests in flight finish.
func TestDrain(t *testing.T) {
	t.Parallel()
	h := openHarness(t, testnode.Embedded, defaultPlan)
	f := h.newFarmer(t, 1)
	c := f.takeOne(t, "seed")
	l := serveConfig()
	l.DrainDelay = 500 * time.Millisecond
	s := h.serve(t, l)

	s.ask(t, "GET", api, nil).want(t, http.StatusOK, "ok")
	body := string(asJSON(t, proofs{[]proofOf{{c.FileHash, f.prove(t, c, nil)}}}))
	reading, send := f.beginPost(t, s.replica, f.at("answer"), body[:1], body)
	<-reading
	s.stop()
	<-s.drained
	waitFor(t, "Connection: close", func() bool {
		got := s.ask(t, "GET", api, nil)
		got.want(t, http.StatusOK, "ok")
		return got.last
	})
	waitFor(t, "the end of the listener", func() bool {
		_, err := s.try(t, "GET", api, nil)
		return err != nil
	})
	select {
	case err := <-s.ended:
		t.Fatalf("the server ended before its request: %v", err)
	default:
	}
	send().want(t, http.StatusOK, `"ok"`)
	must(t, <-s.ended)
	if n := f.heartbeats(t); n != 1 {
		t.Errorf("%d heartbeats, want 1", n)
	}
}

// If a request in flight does not finish within ShutdownTimeout, the replica closes its
// connection and ends.
func TestShutdownTimeout(t *testing.T) {
	t.Parallel()
	h := openHarness(t, testnode.Embedded, func(p *plan) { p.idle = true })
	f := h.newFarmer(t, 1)
	l := serveConfig()
	l.ShutdownTimeout = 10 * time.Millisecond
	s := h.serve(t, l)
	conn, err := net.Dial("tcp", s.URL[len("http://"):])
	must(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("POST " + f.at("answer") + " HTTP/1.1\r\nHost: node\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"))
	must(t, err)
	_, err = conn.Read(make([]byte, 10)) // 100 Continue: the handler runs
	must(t, err)
	s.stop()
	must(t, <-s.ended)
}

func TestTLSCertificatesAreReloaded(t *testing.T) {
	t.Parallel()
	h := openHarness(t, testnode.Embedded, func(p *plan) { p.idle = true })
	l := serveConfig()
	dir := t.TempDir()
	l.TLS.CertFile, l.TLS.KeyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	testenv.WriteCertificate(t, l.TLS.CertFile, l.TLS.KeyFile, 1)
	s := h.serve(t, l)

	serial := func(most uint16) (int64, error) {
		conn, err := tls.Dial("tcp", s.URL[len("https://"):], &tls.Config{InsecureSkipVerify: true, MaxVersion: most})
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		_, err = conn.Write([]byte("GET " + api + " HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n"))
		must(t, err)
		status := make([]byte, len("HTTP/1.1 200"))
		_, err = conn.Read(status)
		must(t, err)
		if string(status) != "HTTP/1.1 200" {
			t.Errorf("%s", status)
		}
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), nil
	}
	if n, err := serial(0); err != nil || n != 1 {
		t.Fatalf("certificate %d, %v", n, err)
	}
	if _, err := serial(tls.VersionTLS11); err == nil {
		t.Error("the server accepts TLS 1.1")
	}
	testenv.WriteCertificate(t, l.TLS.CertFile, l.TLS.KeyFile, 2)
	waitFor(t, "the new certificate", func() bool {
		n, err := serial(0)
		must(t, err)
		return n == 2
	})
	// If the new files are invalid, the server keeps the old certificate.
	must(t, os.WriteFile(l.TLS.CertFile, []byte("nothing"), 0o600))
	if n, err := serial(0); err != nil || n != 2 {
		t.Errorf("certificate %d, %v", n, err)
	}
	// Both certificates of the test expire within two weeks.
	if n := strings.Count(h.Logs.String(), "expires soon"); n != 2 {
		t.Errorf("%d warnings, want one for each certificate", n)
	}
	s.stop()
	must(t, <-s.ended)
}

func TestListenFails(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*apiserver.Config){
		"no such files": func(l *apiserver.Config) { l.TLS.CertFile, l.TLS.KeyFile = "no.crt", "no.key" },
		"not a port":    func(l *apiserver.Config) { l.Listen = "127.0.0.1:port" },
	} {
		l := serveConfig()
		change(&l)
		if ln, err := apiserver.Listen(t.Context(), l, app.Default().Contracts, slog.New(slog.DiscardHandler)); err == nil {
			ln.Close()
			t.Errorf("%s: no error", name)
		}
	}
}
