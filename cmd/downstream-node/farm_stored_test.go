package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

// farmCommand runs farm or one of its subcommands.
func farmCommand(t *testing.T, args ...string) (printed string, err error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newFarmCommand()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetIn(strings.NewReader(""))
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err = cmd.ExecuteContext(context.WithoutCancel(t.Context()))
	return out.String(), err
}

// TestFarmStatusVerifyLeave farms against a node, and then works on the farmer's directory.
func TestFarmStatusVerifyLeave(t *testing.T) {
	t.Parallel()
	key, err := schemes.New(heartbeat.Merkle, nil)
	testenv.Must(t, err)
	n := testnode.Open(t, testnode.Embedded, testnode.Config(), []heartbeat.Heartbeat{key})
	stocker := n.NewStocker(node.Inventory{Redundancy: 1})
	for range 2 {
		testenv.Must(t, stocker.Make(t.Context(), n.Keys.Current(), 1<<10))
	}
	n.StartWorker(t)
	api := n.Serve(t, func(*app.Config) {})
	dir := filepath.Join(t.TempDir(), "farm")
	client, err := farmer.NewClient(api.URL, farmer.ClientConfig{})
	testenv.Must(t, err)
	group, err := farmer.NewGroup(farmer.Config{Client: client, Address: farmAddress, Dir: dir, Size: 2 << 10}, 1)
	testenv.Must(t, err)
	stop := testnode.Background(t, func(ctx context.Context) { _ = group.Run(ctx) })
	testenv.WaitFor(t, "two heartbeats", func() bool { return group.Snapshot().Heartbeats == 2 })
	stop()

	id := group[0].Snapshot().FarmerID
	printed, err := farmCommand(t, "status", "--dir", dir)
	want := strings.Fields(id + " " + farmAddress + " 2 2.0 KiB " + api.URL + "/api/downstream/v1 yes good")
	if lines := strings.Split(printed, "\n"); err != nil || len(lines) < 2 || !strings.HasPrefix(strings.Join(strings.Fields(lines[1]), " "), strings.Join(want, " ")) {
		t.Errorf("status prints %q, %v; want %q", printed, err, want)
	}
	if printed, err := farmCommand(t, "verify", "--dir", dir); err != nil || printed != "all is well: 2 files\n" {
		t.Errorf("verify prints %q, %v", printed, err)
	}

	files, err := filepath.Glob(filepath.Join(dir, "farmer-1", "contracts", "*", "file"))
	testenv.Must(t, err)
	if len(files) != 2 {
		t.Fatalf("the farmer has the files %v, want 2", files)
	}
	testenv.Must(t, os.WriteFile(files[0], make([]byte, 1<<10), 0o600))
	testenv.Must(t, os.Remove(files[1]))
	printed, err = farmCommand(t, "verify", "--dir", dir)
	if err == nil || !strings.Contains(err.Error(), "2 of 2 files cannot be proved") || !strings.Contains(printed, "has another content") || !strings.Contains(printed, "is missing") {
		t.Errorf("verify prints %q, %v", printed, err)
	}
	if printed, err = farmCommand(t, "verify", "--repair", "--dir", dir); err != nil || !strings.Contains(printed, "wrote 2 files again") {
		t.Errorf("repair prints %q, %v", printed, err)
	}
	if printed, err := farmCommand(t, "verify", "--dir", dir); err != nil {
		t.Errorf("after the repair: %q, %v", printed, err)
	}
	tag := filepath.Join(filepath.Dir(files[0]), "tag")
	content, err := os.ReadFile(tag)
	testenv.Must(t, err)
	testenv.Must(t, os.WriteFile(tag, content[1:], 0o600))
	for _, args := range [][]string{{"verify", "--dir", dir}, {"verify", "--repair", "--dir", dir}} {
		if printed, err := farmCommand(t, args...); err == nil || !strings.Contains(err.Error(), "1 contract lost") || !strings.Contains(printed, "has a damaged tag, so its contract is lost") {
			t.Errorf("%v with a damaged tag: %q, %v", args, printed, err)
		}
	}

	unlock, err := app.LockDir(dir)
	testenv.Must(t, err)
	if _, err := farmCommand(t, "leave", "--yes", "--dir", dir); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("leave while the farmers run: %v", err)
	}
	unlock()
	if _, err := farmCommand(t, "leave", "--dir", dir); err == nil || !strings.Contains(err.Error(), "1 farmer with 2 contracts in "+dir+" will be deleted") {
		t.Errorf("leave without --yes: %v", err)
	}
	api.Close()
	if printed, err := farmCommand(t, "status", "--dir", dir); err == nil || !strings.Contains(printed, "unknown") {
		t.Errorf("status without the node: %q, %v", printed, err)
	}
	if printed, err := farmCommand(t, "leave", "--yes", "--dir", dir); err != nil || printed != "deleted 1 farmer with 2 contracts\n" {
		t.Errorf("leave prints %q, %v", printed, err)
	}
	for _, args := range []string{"status", "verify", "leave --yes"} {
		if _, err := farmCommand(t, append(strings.Fields(args), "--dir", dir)...); err == nil || !strings.Contains(err.Error(), "there is no farmer in "+dir) {
			t.Errorf("%s after leave: %v", args, err)
		}
	}
}

// TestFarmExplainsTLS connects to servers with certificates that this machine does not trust,
// and with the wrong scheme.
func TestFarmExplainsTLS(t *testing.T) {
	t.Parallel()
	var handshakes atomic.Int64
	secure := httptest.NewUnstartedServer(emptyNode)
	secure.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		handshakes.Add(1)
		return nil, nil
	}}
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := httptest.NewServer(emptyNode)
	t.Cleanup(plain.Close)
	dir := t.TempDir()
	other := filepath.Join(dir, "other.pem")
	testenv.WriteCertificate(t, other, filepath.Join(dir, "key.pem"), 1)
	for _, test := range []struct {
		url, caFile, want string
	}{
		{secure.URL, "", "name it with --ca-file"},
		{secure.URL, other, "name it with --ca-file"},
		{strings.Replace(secure.URL, "https:", "http:", 1), "", "begin the URL with https://"},
		{strings.Replace(plain.URL, "http:", "https:", 1), "", "begin the URL with http://"},
		{secure.URL, filepath.Join(dir, "absent"), "--ca-file " + filepath.Join(dir, "absent")},
		{secure.URL, filepath.Join(dir, "key.pem"), "there is no PEM certificate"},
	} {
		args := []string{test.url, "--address", farmAddress, "--size", "1MiB", "--dir", t.TempDir()}
		if test.caFile != "" {
			args = append(args, "--ca-file", test.caFile)
		}
		before, start := handshakes.Load(), time.Now()
		if _, err := farmCommand(t, args...); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s with %q: %v, want %q", test.url, test.caFile, err, test.want)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s with %q: the farmer tried for %v, although this cannot help", test.url, test.caFile, took)
		}
		if n := handshakes.Load() - before; n > 1 {
			t.Errorf("%s with %q: the farmer tried %d times, although this cannot help", test.url, test.caFile, n)
		}
	}
}

func TestFarmNotifies(t *testing.T) {
	t.Parallel()
	posted := make(chan string, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		posted <- r.Method + " " + string(body)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(hook.Close)
	n := notifier{url: hook.URL, who: "me", log: slog.New(slog.DiscardHandler)}
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	failing := farmer.Snapshot{RetryAt: now, LastError: "refused"}
	steps := []struct {
		after time.Duration
		s     farmer.Snapshot
		want  string // "" for no message
	}{
		{0, farmer.Snapshot{}, ""},
		{time.Second, farmer.Snapshot{Lost: 2, LostWhy: "expired"}, "lost 2 contracts; the last reason: expired"},
		{2 * time.Second, farmer.Snapshot{Lost: 3, LostWhy: "expired"}, ""}, // too soon
		{11 * time.Minute, farmer.Snapshot{Lost: 3, LostWhy: "wrong"}, "lost 1 contract; the last reason: wrong"},
		{12 * time.Minute, failing, ""},
		{13 * time.Minute, farmer.Snapshot{}, ""}, // it succeeded in between
		{14 * time.Minute, failing, ""},
		{16 * time.Minute, failing, "requests have failed for 2m0s: refused"},
		{20 * time.Minute, failing, ""},
	}
	for i, step := range steps {
		step.s.Lost = max(step.s.Lost, n.lost)
		n.look(t.Context(), step.s, now.Add(step.after))
		n.posts.Wait()
		got := ""
		select {
		case got = <-posted:
		default:
		}
		if step.want == "" && got != "" || step.want != "" && got != `POST {"text":"downstream farmer me: `+step.want+`"}` {
			t.Errorf("step %d: posted %q, want %q", i, got, step.want)
		}
	}
	if _, err := farmCommand(t, "http://127.0.0.1:1", "--address", farmAddress, "--size", "1MiB", "--dir", t.TempDir(), "--notify", "me"); err == nil || !strings.Contains(err.Error(), "--notify") {
		t.Errorf("--notify me: %v", err)
	}
}

func TestNextLine(t *testing.T) {
	t.Parallel()
	last := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, test := range []struct{ due, want time.Duration }{{0, time.Minute}, {5 * time.Minute, 5 * time.Minute}, {time.Second, 10 * time.Second}, {48 * time.Hour, time.Hour}} {
		due := time.Time{}
		if test.due > 0 {
			due = last.Add(test.due)
		}
		if got := nextLine(last, due).Sub(last); got != test.want {
			t.Errorf("the next line after a due in %v comes after %v, want %v", test.due, got, test.want)
		}
	}
}
