package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/farmer"
)

const farmAddress = "19qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3jV"

// runFarm runs the command until the command ends or the node has received a request
// for contracts.
func runFarm(t *testing.T, node http.Handler, args ...string) (log string, err error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		node.ServeHTTP(w, r)
		if strings.Contains(r.URL.Path, "/chunk/") {
			cancel()
		}
	}))
	defer server.Close()
	var stderr bytes.Buffer
	cmd := newFarmCommand()
	cmd.SetArgs(append([]string{server.URL}, args...))
	cmd.SetOut(io.Discard)
	cmd.SetErr(&stderr)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err = cmd.ExecuteContext(ctx)
	return stderr.String(), err
}

// emptyNode gives a farmer a token but no chunks.
var emptyNode = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.Path, "/chunk/") {
		io.WriteString(w, `{"chunks": []}`)
		return
	}
	io.WriteString(w, `{"token": "000102030405060708090a0b0c0d0e0f", "type": "Merkle", "heartbeat": {"key": "", "check_fraction": null}}`)
})

// TestFarmLocksItsDirectory checks that two processes cannot use one directory.
func TestFarmLocksItsDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "farm")
	unlock, err := app.LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if _, err := runFarm(t, emptyNode, "--address", farmAddress, "--size", "10MiB", "--dir", dir); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("beside another: %v", err)
	}
}

func TestFarmEndsCleanly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "farm")
	log, err := runFarm(t, emptyNode, "--address", farmAddress, "--size", "10MiB", "--dir", dir, "--number", "2")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log, "msg=farming") || strings.Contains(log, "0001020304") {
		t.Errorf("log:\n%s", log)
	}
	for _, name := range []string{"farmer-1", "farmer-2"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	_, err = runFarm(t, emptyNode, "--address", "another", "--size", "10MiB", "--dir", dir)
	if err == nil || !strings.Contains(err.Error(), farmAddress) {
		t.Errorf("another address for the same directory: %v", err)
	}
}

func TestFarmErrorsGiveAdvice(t *testing.T) {
	t.Parallel()
	answer := func(status int, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, body)
		})
	}
	size := []string{"--address", farmAddress, "--size", "1MiB"}
	signed := append([]string{"--message", "m", "--signature", "c2ln"}, size...)
	tests := []struct {
		name string
		node http.Handler
		args []string
		want []string
	}{
		{"not whitelisted", answer(400, `{"status": "error", "message": "address is not on the whitelist"}`), size, []string{"whitelist " + farmAddress}},
		{"signature needed", answer(400, `{"status": "error", "message": "the address must be proven: POST ..."}`), size, []string{"wallet of " + farmAddress, "--message", "--signature"}},
		{"wrong signature", answer(400, `{"status": "error", "message": "signature does not prove ownership of the address"}`), signed, []string{"exactly the text of --message"}},
		{"token limit", answer(400, `{"status": "error", "message": "too many tokens for this IP address, the limit is 5"}`), size, []string{"the limit is 5; continue with the farmers that you have"}},
		{"unknown refusal", answer(400, `{"status": "error", "message": "no"}`), size, []string{"400 Bad Request: no"}},
		{"nginx with TLS", answer(400, "<html>\n<center>The plain HTTP request was sent to HTTPS port</center>"), size, []string{"begin the URL with https://"}},
		{"a page of HTML", answer(404, "<!doctype html>\n<title>x</title>"), size, []string{"404 Not Found; the server at"}},
		{"an address of another format", answer(400, `{"status": "error", "message": "address is not a valid SJCX address"}`), size, []string{"bc1 cannot be used"}},
		{"not a node", answer(404, `404 page not found`), size, []string{"not a node"}},
		{"no address", emptyNode, []string{"--size", "1MiB"}, []string{"address"}},
		{"no size", emptyNode, []string{"--address", farmAddress}, []string{"size"}},
		{"size", emptyNode, []string{"--address", farmAddress, "--size", "much"}, []string{"--size", "10MiB"}},
		{"size of nothing", emptyNode, []string{"--address", farmAddress, "--size", "0"}, []string{"--size"}},
		{"number", emptyNode, append([]string{"--number", "0"}, size...), []string{"--number 0"}},
		{"half a proof of ownership", emptyNode, append([]string{"--message", "m"}, size...), []string{"signature"}},
		{"scheme", answer(200, `{"token": "00", "type": "New", "heartbeat": {}}`), size, []string{"New"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			log, err := runFarm(t, tt.node, append([]string{"--dir", t.TempDir()}, tt.args...)...)
			if err == nil {
				t.Fatal("no error")
			}
			if strings.Contains(log, "farming") {
				t.Errorf("no farmer joined, but the log has\n%s", log)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not contain %q", err, want)
				}
			}
		})
	}
}

func TestFarmAdviceOnAnUnreachableNode(t *testing.T) {
	t.Parallel()
	client, err := farmer.NewClient("http://127.0.0.1:1", farmer.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Heartbeat(t.Context(), "token")
	err = farming{node: "http://127.0.0.1:1"}.advise(err)
	for _, want := range []string{"http://127.0.0.1:1", "refused", "running"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not contain %q", err, want)
		}
	}
}

func TestFarmProgress(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct {
		name string
		s    farmer.Snapshot
		want string
	}{
		{"not joined", farmer.Snapshot{Retries: 2}, "joining the node"},
		{"nothing yet", farmer.Snapshot{Joined: 1}, "0 contracts · 0 B of 10 MiB · 0 heartbeats in this run"},
		{
			"all at once",
			farmer.Snapshot{Joined: 1, Contracts: 3, Bytes: 2 << 20, Heartbeats: 1234, Lost: 1, LostWhy: "proof is wrong", Retries: 2, NextDue: now.Add(12500 * time.Millisecond)},
			"3 contracts · 2.0 MiB of 10 MiB · 1,234 heartbeats in this run · 1 lost, the last: proof is wrong · 2 repeated requests · next due in 12s",
		},
		{
			"the node is away",
			farmer.Snapshot{Joined: 1, Contracts: 3, Heartbeats: 5, Retries: 2, NextDue: now, RetryAt: now.Add(5500 * time.Millisecond), LastError: "challenge: connection refused"},
			"waiting for the node, next try in 5s · 3 contracts · 0 B of 10 MiB · 5 heartbeats in this run · challenge: connection refused",
		},
		{
			"the node is away from the start",
			farmer.Snapshot{RetryAt: now.Add(time.Second), LastError: "heartbeat: connection refused"},
			"waiting for the node, next try in 1s: heartbeat: connection refused",
		},
		{"one of each", farmer.Snapshot{Joined: 1, Contracts: 1, Heartbeats: 1, Retries: 1}, "1 contract · 0 B of 10 MiB · 1 heartbeat in this run · 1 repeated request"},
		{"overdue", farmer.Snapshot{Joined: 1, NextDue: now.Add(-time.Hour)}, "0 contracts · 0 B of 10 MiB · 0 heartbeats in this run · next due in 0s"},
	}
	for _, tt := range tests {
		if got := progress(tt.s, 10<<20, now); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestLiveLineStaysBelowTheLog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	line := &liveLine{out: &out, width: func() int { return 6 }}
	line.draw("1234567")
	io.WriteString(line, "log\n")
	line.end()
	line.end()
	if got, want := out.String(), clearLine+"12345"+clearLine+"log\n"+"12345\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
