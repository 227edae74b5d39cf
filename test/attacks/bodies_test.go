//go:build attacks

package attacks

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/test/deployment"
)

// attackTime is how long an attack lasts that can be repeated. It is longer than the
// honest farmers' interval, so each of them sends proofs during the attack.
const attackTime = 12 * time.Second

// Small bodies that become large when the node reads them, and bodies of many small
// items, each 100 times at once for attackTime.
func TestBodies(t *testing.T) {
	s := begin(t, nil, honestFarmers*honestChunks)
	const size, atOnce = 32 << 20, 100
	var attackers []*attacker
	for i := range 4 {
		attackers = append(attackers, s.attacker(t, 1+i))
	}
	token, file := attackers[0].token(deployment.NewAddress(t)), strings.Repeat("a", 64)
	hashes := make([]string, 10_000)
	batch := make([]any, 4000)
	for i := range hashes {
		hashes[i] = fmt.Sprintf("%064x", i)
	}
	for i := range batch {
		proof := map[string]any{"leaf": map[string]any{"index": 0, "blob": strings.Repeat("A", 1200)}, "branch": map[string]any{"rows": []any{}}}
		batch[i] = map[string]any{"file_hash": hashes[i], "proof": proof}
	}
	for _, attack := range []struct {
		name, path string
		body       []byte
	}{
		{"one string for a token", "/new/" + deployment.NewAddress(t), bomb(t, `{"message": "`, "x", size)},
		{"a member to skip", "/challenge/" + token, append(bomb(t, `{"hashes": [], "x": [1`, ",1", size), zip(t, []byte("]}"))...)},
		{"one string as a hash", "/challenge/" + token, bomb(t, `{"hashes": ["`, "x", size)},
		{"one string as a proof", "/answer/" + token + "/" + file, bomb(t, `{"proof": "`, "x", size)},
		{"one string as a proof of many", "/answer/" + token, bomb(t, `{"proofs": [{"proof": "`, "x", size)},
		{"nested arrays", "/answer/" + token, bomb(t, `{"proofs": [{"proof": [`, "[", size)},
		{"gzip in gzip", "/answer/" + token, zip(t, bomb(t, `{"proofs": [`, "x", size))},
		{"many hashes", "/challenge/" + token, zip(t, marshal(t, map[string]any{"hashes": hashes}))},
		{"many proofs", "/answer/" + token, zip(t, marshal(t, map[string]any{"proofs": batch}))},
	} {
		s.during(t, "small bodies, "+attack.name, mostGrowth, func() {
			ctx, stop := context.WithTimeout(t.Context(), attackTime)
			defer stop()
			var all sync.WaitGroup
			for i := range atOnce {
				all.Go(func() {
					for ctx.Err() == nil {
						attackers[i%len(attackers)].post(ctx, attack.path, attack.body)
					}
				})
			}
			all.Wait()
		})
	}
}

// post sends a body and discards the response, which may be missing.
func (a *attacker) post(ctx context.Context, path string, body []byte) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base+path, bytes.NewReader(body))
	if err != nil {
		a.t.Error(err)
		return
	}
	resp, err := a.http.Do(r)
	if err != nil {
		return // the node may close the connection of a body that it refuses
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
}

// Attackers send a header and one byte of a body on each of many connections. They
// open a new connection when the node closes one.
func TestSlowBodies(t *testing.T) {
	for _, number := range []int{1, 3} {
		t.Run(fmt.Sprint(number, " attackers"), func(t *testing.T) {
			s := begin(t, nil, honestFarmers*honestChunks)
			const connections = 1100
			s.during(t, fmt.Sprintf("slow bodies, %d attackers", number), mostGrowth, func() {
				ctx, stop := context.WithTimeout(t.Context(), attackTime)
				defer stop()
				var all sync.WaitGroup
				for i := range number {
					a := s.attacker(t, 1+i)
					path := "/answer/" + a.token(deployment.NewAddress(t))
					for range connections / number {
						all.Go(func() {
							for ctx.Err() == nil {
								a.sendSlowly(ctx, path)
							}
						})
					}
				}
				all.Wait()
			})
		})
	}
}

// sendSlowly opens a connection, sends the start of a request, and waits until the node
// closes the connection or ctx ends.
func (a *attacker) sendSlowly(ctx context.Context, path string) {
	host := strings.TrimPrefix(a.base, "http://")
	host, prefix, _ := strings.Cut(host, "/")
	conn, err := a.http.Transport.(*http.Transport).DialContext(ctx, "tcp", host)
	if err != nil {
		pause(ctx)
		return
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer conn.Close()
	_, _ = fmt.Fprintf(conn, "POST /%s%s HTTP/1.1\r\nHost: node\r\nContent-Length: 100000\r\n\r\n{", prefix, path)
	_, _ = io.Copy(io.Discard, conn)
	pause(ctx)
}

// pause waits between two attempts to connect, so that the attacker stays below the
// rate limits.
func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Second):
	}
}

// bomb compresses a body of start and size bytes of filler. It compresses 1 MiB of the
// filler once and repeats the result, because a gzip file may have several members.
func bomb(t *testing.T, start, filler string, size int) []byte {
	t.Helper()
	part := zip(t, []byte(strings.Repeat(filler, 1<<20/len(filler))))
	return slices.Concat(zip(t, []byte(start)), bytes.Repeat(part, size>>20))
}

func zip(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(b)
	testenv.Must(t, err)
	testenv.Must(t, w.Close())
	return out.Bytes()
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	testenv.Must(t, err)
	return b
}
