package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Listening says how the server meets its farmers.
type Listening struct {
	Address           string
	CertFile, KeyFile string // both empty: plain HTTP
	ReadHeaderTimeout time.Duration
	ReadTimeout       time.Duration
	WriteTimeout      time.Duration
	IdleTimeout       time.Duration
	// DrainDelay is how long requests are still taken after the drain has
	// begun, so that load balancers notice it first.
	DrainDelay time.Duration
	// ShutdownTimeout is how long requests under way may take after that.
	ShutdownTimeout time.Duration
}

// Listen opens the farmers' port. Certificate files are read now, and again
// when farmers connect, at most once every certificateAge.
func Listen(ctx context.Context, l Listening) (net.Listener, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", l.Address)
	if err != nil || l.CertFile == "" {
		return ln, err
	}
	files := &certificateFiles{cert: l.CertFile, key: l.KeyFile}
	if err := files.load(); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return tls.NewListener(ln, &tls.Config{
		GetCertificate: files.get,
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
	}), nil
}

// certificateFiles is the server's certificate. A handshake reads the files
// again if that was last done certificateAge ago.
type certificateFiles struct {
	cert, key string

	mu      sync.Mutex
	loaded  *tls.Certificate
	checked time.Time
}

const certificateAge = time.Second

func (f *certificateFiles) load() error {
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	f.checked = time.Now()
	if err == nil {
		f.loaded = &pair
	}
	return err
}

// get keeps the previous certificate if the files cannot be used.
func (f *certificateFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.checked) >= certificateAge {
		if err := f.load(); err != nil {
			slog.Error("the certificate files cannot be used; the previous certificate stays", "error", err)
		}
	}
	return f.loaded, nil
}

// Serve answers on ln until ctx ends. Then it calls drain, so that readiness
// turns off; goes on for DrainDelay; and lets the requests under way finish.
func (s *Server) Serve(ctx context.Context, ln net.Listener, l Listening, drain func()) error {
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: l.ReadHeaderTimeout,
		ReadTimeout:       l.ReadTimeout,
		WriteTimeout:      l.WriteTimeout,
		IdleTimeout:       l.IdleTimeout,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
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
	time.Sleep(l.DrainDelay)
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.ShutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(finish); err != nil {
		s.log.Warn("requests cut off at shutdown", "error", err)
		return srv.Close()
	}
	return nil
}
