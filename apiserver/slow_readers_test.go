package apiserver_test

import (
	"bufio"
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/roster"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

// crowd is a number of farmers whose list, of 9 MB, is larger than the buffers of a connection.
const crowd = 30_000

// openCrowd returns a node with crowd farmers, which are copies of one farmer. It reads
// them from the database only once.
func openCrowd(t *testing.T) *harness {
	t.Helper()
	h := openHarness(t, testnode.Embedded, func(p *plan) { p.idle = true })
	h.Roster = roster.Options{Age: time.Hour}
	h.newFarmer(t, 1)
	db, err := sql.Open("sqlite", h.Config.Database.Path)
	must(t, err)
	defer db.Close()
	_, err = db.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < ?)
		INSERT INTO tokens (hash, farmer_id, address_id, key_id, ip, country, state, city, zip, created)
		SELECT randomblob(32), printf('%020x', i), address_id, key_id, ip, 'Country', 'State', 'City', '12345', created FROM tokens, n`, crowd-1)
	must(t, err)
	return h
}

// visitor opens connections from its own IP address.
type visitor struct {
	ip   string
	host string
}

// begin sends a request and reads the response's header. The connection has a small
// receive buffer, so the node must wait until the visitor reads.
func (v visitor) begin(t *testing.T, method, path string) (*http.Response, *net.TCPConn) {
	t.Helper()
	dialed, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(v.ip)}}).DialContext(t.Context(), "tcp", v.host)
	must(t, err)
	t.Cleanup(func() { dialed.Close() })
	conn := dialed.(*net.TCPConn)
	must(t, conn.SetReadBuffer(4<<10))
	must(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: node\r\n\r\n", method, path)
	must(t, err)
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), &http.Request{Method: method})
	must(t, err)
	return resp, conn
}

// read sends a GET request and reads the whole response at full speed.
func (v visitor) read(t *testing.T, path string) (*http.Response, string) {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(v.ip)}}
	transport := &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+v.host+path, nil)
	must(t, err)
	resp, err := transport.RoundTrip(req)
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp, string(body)
}

// Clients that read a long list slowly, or that hang up, must not take the long lists
// from others.
func TestSlowReadersOfLongLists(t *testing.T) {
	t.Parallel()
	h := openCrowd(t)
	l := serveConfig()
	l.AnswerTimeout, l.WriteTimeout = 100*time.Millisecond, 3*time.Second
	s := h.serve(t, l)
	host := strings.TrimPrefix(s.URL, "http://")
	slow, honest := visitor{"127.0.0.2", host}, visitor{"127.0.0.3", host}
	const list = api + "/status/list"

	served := 0
	for range 6 {
		resp, _ := slow.begin(t, http.MethodGet, list)
		switch resp.StatusCode {
		case http.StatusOK:
			served++
		case http.StatusServiceUnavailable:
			if resp.Header.Get("Retry-After") != "3" {
				t.Errorf("Retry-After: %q", resp.Header.Get("Retry-After"))
			}
		default:
			t.Errorf("a slow reader's status is %d", resp.StatusCode)
		}
	}
	if served != 2 {
		t.Errorf("one client has %d long lists in flight, want 2", served)
	}
	resp, body := honest.read(t, list)
	if n := strings.Count(body, `"id"`); resp.StatusCode != http.StatusOK || n != crowd {
		t.Errorf("another client's list: %d, %d farmers, want %d", resp.StatusCode, n, crowd)
	}

	// What is not a long list needs no slot.
	for _, path := range []string{list + "/1000", list + "?search=0000a", list + "/online"} {
		if resp, body := slow.read(t, path); resp.StatusCode != http.StatusOK || resp.Header.Get("ETag") == "" {
			t.Errorf("%s: %d %.100s, ETag %q", path, resp.StatusCode, body, resp.Header.Get("ETag"))
		}
	}
	for range 4 {
		resp, _ := slow.begin(t, http.MethodHead, list)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("X-Total-Count") != strconv.Itoa(crowd) || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("HEAD: %d, %v", resp.StatusCode, resp.Header)
		}
	}

	// The node closes the connections of clients that are too slow.
	waitFor(t, "a free slot", func() bool {
		resp, _ := slow.read(t, list)
		return resp.StatusCode == http.StatusOK
	})
	// A client hangs up while the node sends its list.
	resp, conn := slow.begin(t, http.MethodGet, list)
	if resp.StatusCode != http.StatusOK {
		t.Errorf("after the slow readers: %d", resp.StatusCode)
	}
	must(t, conn.SetLinger(0))
	conn.Close()
	waitFor(t, "the log lines of three incomplete responses", func() bool {
		return strings.Count(h.Logs.String(), "the response is incomplete") == 3
	})
	if log := h.Logs.String(); strings.Contains(log, `"level":"ERROR"`) || strings.Contains(log, "request failed") {
		t.Errorf("clients that do not read cause errors in the log:\n%s", log)
	}
	s.stop()
	must(t, <-s.ended)
}

// HEAD of a list encodes no farmer. The response has the number of farmers. The test is
// not parallel, because it counts the allocations of the whole process.
func TestHeadOfListEncodesNothing(t *testing.T) {
	s := openCrowd(t).open(t, func(*app.Config) {})
	const path = api + "/status/list/1000?search=1"
	perRequest := testing.AllocsPerRun(10, func() { // its first request reads the view
		got := s.askUnchecked(t, "HEAD", path)
		if got.status != http.StatusOK || got.header.Get("X-Total-Count") != strconv.Itoa(crowd) || got.header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%d, %v", got.status, got.header)
		}
	})
	if perRequest > 1000 { // fewer than one for each farmer of the page
		t.Errorf("%v allocations for a request", perRequest)
	}
}
