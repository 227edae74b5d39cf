package store

import (
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/testenv"
)

// The server commits, but its response is lost. The caller must get ErrUnavailable,
// and a repeated commit must not count again.
func TestCommitOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	f := newFixture(t, MySQL)
	token := f.token(t, "address")
	out := f.contracts(t, token, start, 2, 1)

	cfg, err := mysql.ParseDSN(string(f.cfg.DSN))
	must(t, err)
	cfg.Net, cfg.Addr = "tcp", loseCommits(t, cfg.Net, cfg.Addr)
	lossy := openStore(t, Config{Driver: MySQL, DSN: config.Secret(cfg.FormatDSN())})

	verdicts := []Verdict{answer(token, out[0], true, start), answer(token, out[1], false, start)}
	_, err = lossy.Commit(t.Context(), verdicts, 3)
	wantErr(t, err, ErrUnavailable)
	testenv.WaitFor(t, "two contracts at version 1", func() bool { return f.count(t, "contracts", "version = 1") == 2 })
	if got := f.commit(t, verdicts...); got[0] != node.OKAgain || got[1] != node.InvalidAgain {
		t.Errorf("outcomes %v of the repeated commit", got)
	}
	if n := f.farmer(t, token, start).Heartbeats; n != 1 {
		t.Errorf("%d heartbeats, want 1", n)
	}
}

// loseCommits starts a proxy that breaks the connection when the server responds to
// a COMMIT.
func loseCommits(t *testing.T, network, server string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go loseCommit(client, network, server)
		}
	}()
	return l.Addr().String()
}

func loseCommit(client net.Conn, network, server string) {
	defer client.Close()
	upstream, err := net.Dial(network, server)
	if err != nil {
		return
	}
	defer upstream.Close()
	go func() {
		defer client.Close()
		_, _ = io.Copy(client, upstream)
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		commit := bytes.HasSuffix(buf[:n], []byte("COMMIT"))
		if commit {
			client.Close()
		}
		if _, err := upstream.Write(buf[:n]); err != nil {
			return
		}
		if commit {
			_, _ = io.Copy(io.Discard, io.LimitReader(upstream, 1)) // wait until the server has responded
			return
		}
	}
}
