package apiserver

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// load counts what the requests in flight use.
type load struct {
	slots      chan struct{} // a semaphore that limits the requests in flight
	ipv6Prefix int           // contracts.ipv6Prefix

	mu        sync.Mutex
	room      int64                    // the unused bytes of api.bodyBudget
	longLists int                      // the long lists in flight
	clients   map[netip.Prefix]*client // the clients that have a request in flight
}

// client counts what the requests of one client use. A client is one IPv4 address, or
// the IPv6 addresses with a common prefix.
type client struct {
	requests  int
	bytes     int64 // of api.bodyBudget
	longLists int
}

// clientShare limits what one client can use of api.bodyBudget: what is left must be
// clientShare times as much. So one client can use a quarter of the budget. With
// more clients, each one can use less, but something is always left for the next.
const clientShare = 3

func newLoad(cfg Config, ipv6Prefix int) *load {
	return &load{
		slots:      make(chan struct{}, cfg.MaxInFlight),
		ipv6Prefix: ipv6Prefix,
		room:       int64(cfg.BodyBudget),
		clients:    make(map[netip.Prefix]*client),
	}
}

// clientOf returns the addresses that count as one client.
func clientOf(ip netip.Addr, ipv6Prefix int) netip.Prefix {
	bits := ip.BitLen()
	if ip.Is6() {
		bits = ipv6Prefix
	}
	client, _ := ip.Prefix(bits) // an invalid address gives the zero prefix
	return client
}

// enter counts a request of ip. It returns nil if most requests of the same client are
// already in flight. If most is 0, there is no limit. Otherwise the caller must call
// leave at the end.
func (l *load) enter(ip netip.Addr, most int) *client {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := clientOf(ip, l.ipv6Prefix)
	c := l.clients[key]
	if c == nil {
		c = &client{}
		l.clients[key] = c
	}
	if most > 0 && c.requests >= most {
		return nil
	}
	c.requests++
	return c
}

func (l *load) leave(ip netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := clientOf(ip, l.ipv6Prefix)
	c := l.clients[key]
	if c.requests--; c.requests == 0 {
		delete(l.clients, key)
	}
}

// beginLongList counts a long list. It returns false if there are too many of them, in
// total or for the client. Otherwise the caller must call endLongList at the end.
func (l *load) beginLongList(c *client) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.longLists >= maxLongLists || c.longLists >= clientLongLists {
		return false
	}
	l.longLists++
	c.longLists++
	return true
}

func (l *load) endLongList(c *client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.longLists--
	c.longLists--
}

const (
	// bodyWait limits how long a request waits until there is room in api.bodyBudget.
	bodyWait = 5 * time.Second
	// bodyPoll is how often a waiting request looks for room.
	bodyPoll = 20 * time.Millisecond
)

// hold reserves n bytes of api.bodyBudget. If there is no room, it waits for a limited
// time, and then returns an error with status 503. The request keeps the bytes until
// it calls free or ends.
func (e *exchange) hold(ctx context.Context, n int64) error {
	for end := time.Now().Add(bodyWait); !e.tryHold(n); {
		if time.Now().After(end) || ctx.Err() != nil {
			e.server.metrics.refused.Inc()
			return errBusy
		}
		select {
		case <-ctx.Done():
		case <-time.After(bodyPoll):
		}
	}
	return nil
}

// tryHold is hold, but does not wait. It reports whether there was room.
func (e *exchange) tryHold(n int64) bool {
	l := e.server.load
	l.mu.Lock()
	defer l.mu.Unlock()
	if (e.client.bytes+n)*clientShare > l.room-n {
		return false
	}
	l.room -= n
	e.client.bytes += n
	e.held += n
	return true
}

// free gives back n bytes of those that the request holds.
func (e *exchange) free(n int64) {
	l := e.server.load
	l.mu.Lock()
	defer l.mu.Unlock()
	e.held -= n
	e.client.bytes -= n
	l.room += n
}

// serve serves a request within the limits of load. It takes a slot of api.maxInFlight
// only when the request's body, or its first part, has arrived. So a client that
// sends its body slowly does not use a slot.
func (e *exchange) serve(r *http.Request, next http.Handler) error {
	l := e.server.load
	if e.client = l.enter(e.ip, e.server.cfg.RequestsPerIP); e.client == nil {
		e.server.metrics.refused.Inc()
		return errManyRequests
	}
	defer l.leave(e.ip)
	if r.Body != nil && r.Body != http.NoBody {
		first := firstParts.Get().(*bufferedBody)
		defer first.put()
		if err := first.await(e, r); err != nil {
			return err
		}
		r.Body = first
	}
	select {
	case l.slots <- struct{}{}:
	default:
		e.server.metrics.refused.Inc()
		return errBusy
	}
	defer func() { <-l.slots }()
	defer func() { e.free(e.held) }()
	next.ServeHTTP(e, r)
	return nil
}

// limitedListener closes a connection that is above the limit of its client.
type limitedListener struct {
	net.Listener
	trusted []netip.Prefix // connections from these networks do not count
	most    int            // 0 if there is no limit
	prefix  int            // contracts.ipv6Prefix

	mu   sync.Mutex
	open map[netip.Prefix]int
}

func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || l.most == 0 {
			return conn, err
		}
		ip := peerIP(conn.RemoteAddr().String())
		if isTrusted(ip, l.trusted) {
			return conn, nil
		}
		client := clientOf(ip, l.prefix)
		if l.add(client) {
			return &countedConn{Conn: conn, closed: sync.OnceFunc(func() { l.remove(client) })}, nil
		}
		_ = conn.Close()
	}
}

func (l *limitedListener) add(client netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[client] >= l.most {
		return false
	}
	l.open[client]++
	return true
}

func (l *limitedListener) remove(client netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[client]--; l.open[client] == 0 {
		delete(l.open, client)
	}
}

// countedConn calls closed when it is closed.
type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	defer c.closed()
	return c.Conn.Close()
}
