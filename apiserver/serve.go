package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
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
// whenever they change, until ctx ends.
func Listen(ctx context.Context, l Listening) (net.Listener, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", l.Address)
	if err != nil || l.CertFile == "" {
		return ln, err
	}
	watcher, err := certwatcher.New(l.CertFile, l.KeyFile)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	go func() {
		if err := watcher.Start(ctx); err != nil {
			slog.Error("certificate files are no longer watched", "error", err)
		}
	}()
	return tls.NewListener(ln, &tls.Config{
		GetCertificate: watcher.GetCertificate,
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
	}), nil
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
