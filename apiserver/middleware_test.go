package apiserver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"syscall"
	"testing"
)

// brokenWriter is the ResponseWriter of a client that has disconnected.
type brokenWriter struct{ *httptest.ResponseRecorder }

func (brokenWriter) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// Only an error of the node is an error in the log.
func TestLevelsOfErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, level string
		handler     handlerFunc
	}{
		{"an error of the node", "ERROR", func(http.ResponseWriter, *http.Request) error { return syscall.EPIPE }},
		{"a client that has disconnected", "DEBUG", func(w http.ResponseWriter, _ *http.Request) error {
			_, err := io.WriteString(w, "x")
			return err
		}},
		{"an error of the node within a response", "ERROR", func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(http.StatusOK)
			return errors.New("broken")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			s := &Server{Deps: Deps{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}}
			e := &exchange{ResponseWriter: brokenWriter{httptest.NewRecorder()}, server: s}
			r := httptest.NewRequest("GET", "/", nil)
			func() {
				defer func() { _ = recover() }() // http.ErrAbortHandler
				s.handle(tt.handler).ServeHTTP(e, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, e)))
			}()
			if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "level="+tt.level) {
				t.Errorf("the log is %q, want one line at level %s", log.String(), tt.level)
			}
		})
	}
}

// TestPanics checks that a panic within a response closes the connection. The client must not
// read the error as the end of the response.
func TestPanics(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		before func(http.ResponseWriter)
		aborts bool
		status int
		body   string
	}{
		"before the response": {func(http.ResponseWriter) {}, false, http.StatusInternalServerError, `{"status":"error","message":"internal error"}`},
		"after the status":    {func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) }, true, http.StatusOK, ""},
		"within the body":     {func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"farmers":[`) }, true, http.StatusOK, `{"farmers":[`},
	} {
		var log bytes.Buffer
		s := &Server{Deps: Deps{Log: slog.New(slog.NewTextHandler(&log, nil))}}
		recorder := httptest.NewRecorder()
		e := &exchange{ResponseWriter: recorder, server: s}
		r := httptest.NewRequest("GET", "/", nil)
		var aborted any
		func() {
			defer func() { aborted = recover() }()
			s.handle(func(w http.ResponseWriter, _ *http.Request) error {
				tt.before(w)
				panic("broken")
			}).ServeHTTP(e, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, e)))
		}()
		if (aborted == http.ErrAbortHandler) != tt.aborts || recorder.Code != tt.status || strings.TrimSpace(recorder.Body.String()) != tt.body {
			t.Errorf("%s: the panic is %v, the response %d %q", name, aborted, recorder.Code, recorder.Body)
		}
		if strings.Count(log.String(), "panic in a handler") != 1 {
			t.Errorf("%s: the log is %q", name, &log)
		}
	}
}

func TestForwardedForCountsOnlyFromTrustedProxies(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	tests := []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"no proxy", "192.0.2.1:1234", nil, "192.0.2.1"},
		{"a farmer that forges the header", "192.0.2.1:1234", []string{"198.51.100.1"}, "192.0.2.1"},
		{"a farmer that forges a proxy", "192.0.2.1:1234", []string{"198.51.100.1, 10.0.0.1"}, "192.0.2.1"},
		{"a proxy", "10.0.0.1:1234", []string{"192.0.2.1"}, "192.0.2.1"},
		{"a proxy without the header", "10.0.0.1:1234", nil, "10.0.0.1"},
		{"a proxy with an empty header", "10.0.0.1:1234", []string{""}, "10.0.0.1"},
		{"two proxies", "10.0.0.1:1234", []string{"192.0.2.1, 10.0.0.2"}, "192.0.2.1"},
		{"two proxies, two headers", "10.0.0.1:1234", []string{"192.0.2.1", "10.0.0.2"}, "192.0.2.1"},
		{"an address forged by the farmer", "10.0.0.1:1234", []string{"198.51.100.1, 192.0.2.1"}, "192.0.2.1"},
		{"a trusted proxy forged by the farmer", "10.0.0.1:1234", []string{"10.0.0.9, 192.0.2.1"}, "192.0.2.1"},
		{"a header forged by the farmer", "10.0.0.1:1234", []string{"198.51.100.1", "192.0.2.1"}, "192.0.2.1"},
		{"only proxies", "10.0.0.1:1234", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"an invalid address first", "10.0.0.1:1234", []string{"garbage, 192.0.2.1"}, "192.0.2.1"},
		{"an invalid address last", "10.0.0.1:1234", []string{"192.0.2.1, garbage"}, "10.0.0.1"},
		{"an invalid address in the middle", "10.0.0.1:1234", []string{"192.0.2.1, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"with a port", "10.0.0.1:1234", []string{"192.0.2.1:4321"}, "192.0.2.1"},
		{"IPv6", "[fd00::1]:1234", []string{"2001:db8::1"}, "2001:db8::1"},
		{"IPv6 in brackets", "[fd00::1]:1234", []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"IPv6 with a port", "[fd00::1]:1234", []string{"[2001:db8::1]:4321"}, "2001:db8::1"},
		{"IPv6 with a zone", "[fe80::1%eth0]:1234", nil, "fe80::1"},
		{"IPv4 in IPv6 form", "[::ffff:10.0.0.1]:1234", []string{"::ffff:192.0.2.1"}, "192.0.2.1"},
		{"an invalid peer address", "@", []string{"192.0.2.1"}, "invalid IP"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = tt.peer
			for _, header := range tt.forwarded {
				r.Header.Add("X-Forwarded-For", header)
			}
			if got := clientIP(r, trusted).String(); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}
