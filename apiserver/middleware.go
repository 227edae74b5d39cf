package apiserver

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/driveshare/downstream-node/apiserver/page"
)

// request is what the middleware knows about a request.
type request struct {
	server *Server
	id     string
	ip     netip.Addr
	route  string // its template, once the router has found it
}

type requestKey struct{}

func requestOf(ctx context.Context) *request {
	return ctx.Value(requestKey{}).(*request)
}

// log is for what becomes of the request.
func (r *request) log() *slog.Logger { return r.server.log.With("request", r.id) }

// handlerFunc is a handler that leaves its error to the one place that answers
// errors.
type handlerFunc func(w http.ResponseWriter, r *http.Request) error

// handle makes h an http.Handler: it answers h's error, and turns a panic into
// a 500 instead of a dead connection.
func (s *Server) handle(h handlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			switch {
			case v == nil:
			case v == http.ErrAbortHandler:
				panic(v)
			default:
				requestOf(r.Context()).log().Error("panic in a handler", "panic", v, "stack", string(debug.Stack()))
				writeError(w, &apiError{status: http.StatusInternalServerError, message: "internal error"})
			}
		}()
		if err := h(w, r); err != nil {
			s.answerError(w, r, err)
		}
	})
}

func (s *Server) answerError(w http.ResponseWriter, r *http.Request, err error) {
	e := classify(err)
	switch {
	case e.status == http.StatusInternalServerError:
		requestOf(r.Context()).log().Error("request failed", "error", err)
	case e.status >= 500 && r.Context().Err() == nil:
		requestOf(r.Context()).log().Warn("request not decided", "error", err)
	}
	if wrote, ok := w.(*recorder); ok && wrote.status != 0 {
		// The answer has begun: cut the connection, so that the farmer does not
		// take half an answer for a whole one.
		panic(http.ErrAbortHandler)
	}
	writeError(w, e)
}

// recorder remembers what was answered, for the log and the metrics.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// observe is the outermost layer: it names the request, finds the farmer's
// address, bounds how many requests run at once, and records what became of
// each. Paths are logged by their route, since a path can hold a token.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req := &request{server: s, id: requestID(r), ip: clientIP(r, s.opt.TrustedProxies)}
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, req))
		rec := &recorder{ResponseWriter: w}
		rec.Header().Set("X-Request-Id", req.id)
		if s.draining.Load() {
			// The farmer's next request finds a replica that stays.
			rec.Header().Set("Connection", "close")
		}
		start := time.Now()
		defer func() { s.record(r, rec, time.Since(start)) }()

		if !s.admit() {
			writeError(rec, &apiError{status: http.StatusServiceUnavailable, message: "the node is busy, ask again later", retryAfter: retryAfter})
			return
		}
		defer s.leave()
		next.ServeHTTP(rec, r)
	})
}

func (s *Server) record(r *http.Request, rec *recorder, took time.Duration) {
	req, status := requestOf(r.Context()), rec.status
	if status == 0 {
		status = 499 // the connection was cut before an answer began
	}
	route := cmp.Or(req.route, "unmatched")
	s.metrics.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	s.metrics.seconds.WithLabelValues(route).Observe(took.Seconds())
	if s.log.Enabled(r.Context(), slog.LevelDebug) {
		req.log().Debug("request",
			"method", r.Method, "route", route, "status", status, "bytes", rec.bytes, "seconds", took.Seconds())
	}
}

// rememberRoute carries the route's template from where mux knows it, behind
// the router, to where it is recorded, before it.
func rememberRoute(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if route := mux.CurrentRoute(r); route != nil {
			requestOf(r.Context()).route, _ = route.GetPathTemplate()
		}
		next.ServeHTTP(w, r)
	})
}

// requestID takes the id that a proxy gave, if it has the form of one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if len(id) > 0 && len(id) <= 64 && strings.IndexFunc(id, notInID) < 0 {
		return id
	}
	return rand.Text()
}

func notInID(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
}

// trimSlash lets every route be asked for with a slash behind it.
func trimSlash(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := r.URL.Path; len(p) > 1 && strings.HasSuffix(p, "/") {
			trimmed := r.Clone(r.Context())
			trimmed.URL.Path = strings.TrimSuffix(p, "/")
			trimmed.URL.RawPath = strings.TrimSuffix(r.URL.RawPath, "/")
			r = trimmed
		}
		next.ServeHTTP(w, r)
	})
}

// limitAddress holds every IP address to its share of requests. Those who look
// at the page have one beside the farmers': whoever farms may look as well. What
// the page is made of is not counted.
func (s *Server) limitAddress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := "ip:"
		if isPage(r) {
			key = "page:"
			if strings.HasPrefix(r.URL.Path, page.AssetPrefix) {
				next.ServeHTTP(w, r)
				return
			}
		}
		err := s.limit(r.Context(), key+requestOf(r.Context()).ip.String(), s.opt.PerAddress)
		switch {
		case err == nil:
			next.ServeHTTP(w, r)
		case isPage(r):
			s.page.Busy(w, r, classify(err).retryAfter)
		default:
			s.answerError(w, r, err)
		}
	})
}

// limit takes one request off key's share. Where Redis cannot say, the request
// passes: what needs Redis will fail by itself, and the status pages need not.
func (s *Server) limit(ctx context.Context, key string, rate Rate) error {
	if rate.PerSecond <= 0 {
		return nil
	}
	wait, ok, err := s.redis.Allow(ctx, key, rate.PerSecond, rate.Burst)
	if err != nil || ok {
		return nil
	}
	s.metrics.limited.Inc()
	// 503, where 429 would be the usual word: farmers in the field ask again
	// after a 5xx, and may take any 4xx as final.
	return &apiError{
		status:     http.StatusServiceUnavailable,
		message:    "too many requests, slow down",
		retryAfter: max(wait.Round(time.Second), time.Second),
	}
}
