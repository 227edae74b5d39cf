package apiserver

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/driveshare/downstream-node/apiserver/page"
)

// exchange is what the middleware knows about a request and its response.
type exchange struct {
	http.ResponseWriter
	server *Server
	id     string
	ip     netip.Addr // the farmer's IP address
	route  string     // the route's path template; rememberRoute sets it
	farmer string     // the id of the farmer whose token is in the request, or ""
	status int        // the status of the response; 0 before the response begins
	bytes  int64      // the size of the response's body so far
	client *client    // what the requests of the same client use
	held   int64      // how much of api.bodyBudget the request uses
}

type exchangeKey struct{}

func exchangeOf(r *http.Request) *exchange {
	return r.Context().Value(exchangeKey{}).(*exchange)
}

func (e *exchange) log() *slog.Logger { return e.server.Log.With("request", e.id) }

func (e *exchange) WriteHeader(status int) {
	e.status = cmp.Or(e.status, status)
	e.ResponseWriter.WriteHeader(status)
}

func (e *exchange) Write(p []byte) (int, error) {
	e.status = cmp.Or(e.status, http.StatusOK)
	n, err := e.ResponseWriter.Write(p)
	e.bytes += int64(n)
	switch err {
	case nil, http.ErrHijacked, http.ErrContentLength, http.ErrBodyNotAllowed: // the last three are mistakes of the handler
	default:
		err = fmt.Errorf("%w: %w", errNotRead, err)
	}
	return n, err
}

// errNotRead means that a response could not be sent, because the client has
// disconnected or reads too slowly.
var errNotRead = errors.New("the client does not read the response")

// Unwrap gives http.ResponseController access to the connection.
func (e *exchange) Unwrap() http.ResponseWriter { return e.ResponseWriter }

// handlerFunc is a handler that returns its error. It must not write the error's
// response, because handle does that.
type handlerFunc func(w http.ResponseWriter, r *http.Request) error

// handle converts h to an http.Handler. If h returns an error, handle writes the
// error's response. If h panics, handle responds with a 500, or closes the connection if the
// response has begun.
func (s *Server) handle(h handlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			switch {
			case v == nil:
			case v == http.ErrAbortHandler:
				panic(v)
			default:
				exchange := exchangeOf(r)
				exchange.log().Error("panic in a handler", "panic", v, "stack", string(debug.Stack()))
				respondError(w, exchange, errInternal)
			}
		}()
		if err := h(w, r); err != nil {
			fail(w, r, err)
		}
	})
}

// fail writes the response to an error. It logs every 500 as an error, unless the client
// is the cause. It logs other 5xx errors only if the client is still connected.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	response, exchange := classify(err), exchangeOf(r)
	switch {
	case errors.Is(err, errNotRead):
		exchange.log().Debug("the response is incomplete", "error", err)
	case response.status == http.StatusInternalServerError:
		exchange.log().Error("request failed", "error", err)
	case response.status >= 500 && r.Context().Err() == nil:
		exchange.log().Warn("cannot serve the request, the farmer must repeat it", "error", err)
	}
	respondError(w, exchange, response)
}

// respondError writes the response to an error. If a response has already begun, it closes
// the connection, so that the farmer notices that the response is incomplete.
func respondError(w http.ResponseWriter, e *exchange, response *apiError) {
	if e.status != 0 {
		panic(http.ErrAbortHandler)
	}
	writeError(w, response)
}

// observe is the outermost layer. It gives the request an id, finds the farmer's IP
// address, serves the request within the limits of load, and records the result. It logs
// the route's template instead of the path, because a path can contain a token.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := &exchange{ResponseWriter: w, server: s, id: requestID(r), ip: clientIP(r, s.cfg.TrustedProxies)}
		e.Header().Set("X-Request-Id", e.id)
		e.Header().Set("X-Content-Type-Options", "nosniff")
		if s.draining.Load() {
			e.Header().Set("Connection", "close") // so that the next request reaches another replica
		}
		start := time.Now()
		defer func() { s.record(e, r, time.Since(start)) }()
		if err := e.serve(r.WithContext(context.WithValue(r.Context(), exchangeKey{}, e)), next); err != nil {
			writeError(e, classify(err))
		}
	})
}

// record counts and logs a request that has ended.
func (s *Server) record(e *exchange, r *http.Request, took time.Duration) {
	route := cmp.Or(e.route, "unmatched")
	status := cmp.Or(e.status, 499) // 499 if the connection broke before the response
	s.metrics.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	s.metrics.seconds.WithLabelValues(route).Observe(took.Seconds())
	if s.Log.Enabled(r.Context(), s.cfg.RequestLog) {
		s.withClient(e.log(), e).Log(r.Context(), s.cfg.RequestLog, "request",
			"method", r.Method, "route", route, "status", status, "bytes", e.bytes, "seconds", took.Seconds())
	}
}

// withClient adds the farmer and the client's IP address to a log, if they are known and
// may be logged.
func (s *Server) withClient(log *slog.Logger, e *exchange) *slog.Logger {
	if e.farmer != "" {
		log = log.With("farmer", e.farmer)
	}
	if s.cfg.LogClients {
		log = log.With("ip", e.ip.String())
	}
	return log
}

// rememberRoute copies the route's template into the exchange. record needs the
// template, but runs outside the router.
func rememberRoute(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if route := mux.CurrentRoute(r); route != nil {
			exchangeOf(r).route, _ = route.GetPathTemplate()
		}
		next.ServeHTTP(w, r)
	})
}

// requestID returns the id in the header X-Request-Id. If the header is missing or
// invalid, it returns a new id.
func requestID(r *http.Request) string {
	const valid = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	id := r.Header.Get("X-Request-Id")
	if id == "" || len(id) > 64 || strings.Trim(id, valid) != "" {
		return rand.Text()
	}
	return id
}

// clientIP returns the farmer's address. It uses X-Forwarded-For only if the
// connection comes from a trusted proxy. In that case, the farmer's address is the
// last address in the list that is not a trusted proxy. Earlier addresses are
// ignored, because a farmer can forge them.
func clientIP(r *http.Request, trusted []netip.Prefix) netip.Addr {
	ip := peerIP(r.RemoteAddr)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for len(hops) > 0 && isTrusted(ip, trusted) {
		hop, err := parseHop(hops[len(hops)-1])
		if err != nil {
			break // the addresses before an invalid address cannot be trusted
		}
		ip, hops = hop, hops[:len(hops)-1]
	}
	return ip
}

// peerIP returns the IP address of a connection's other end. If address is not an IP
// address and a port, peerIP returns the zero value.
func peerIP(address string) netip.Addr {
	peer, _ := netip.ParseAddrPort(address)
	return peer.Addr().Unmap().WithZone("")
}

func isTrusted(ip netip.Addr, trusted []netip.Prefix) bool {
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// parseHop parses one address in X-Forwarded-For, with or without a port.
func parseHop(s string) (netip.Addr, error) {
	s = strings.TrimSpace(s)
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), nil
	}
	ip, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return ip.Unmap().WithZone(""), err
}

// limitAddress applies the rate limit for each client. It counts API requests
// and page requests separately, so that a farmer at its limit can still open the
// status page. It does not limit requests for the page's assets.
func (s *Server) limitAddress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, visitor := "ip:", isPage(r)
		if visitor {
			key = "page:"
		}
		if visitor && strings.HasPrefix(r.URL.Path, page.AssetPrefix) {
			next.ServeHTTP(w, r)
			return
		}
		client := clientOf(exchangeOf(r).ip, s.limits.IPv6Prefix)
		err := s.limit(r.Context(), key+client.String(), s.cfg.RateLimits.PerIP)
		switch {
		case err == nil:
			next.ServeHTTP(w, r)
		case visitor:
			s.page.Busy(w, r, classify(err).retryAfter)
		default:
			fail(w, r, err)
		}
	})
}

// limit counts a request under key, and returns an error if the request exceeds the
// limit. If Redis is not available, limit allows every request. A request that needs
// Redis then fails later, and the other requests succeed.
func (s *Server) limit(ctx context.Context, key string, limit RateLimit) error {
	if limit.Rate <= 0 {
		return nil
	}
	wait, ok, err := s.Redis.Allow(ctx, key, limit.Rate, limit.Burst)
	if err != nil || ok {
		return nil
	}
	s.metrics.limited.Inc()
	// The status is not 429, because deployed farmers may treat any 4xx as final.
	// They repeat a request after a 5xx.
	refused := unavailable("too many requests, slow down")
	refused.retryAfter = max(wait.Round(time.Second), time.Second)
	return refused
}
