package farmer

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
)

// fakeNode is a small honest node in memory that uses the real schemes. Tests use
// intercept to cause failures.
type fakeNode struct {
	t          *testing.T
	hb         heartbeat.Heartbeat
	interval   time.Duration
	challenges int // number of challenges for each Merkle file; 0 for the default
	maxBatch   int // maximum number of contracts in one request; 0 for no limit

	mu        sync.Mutex
	token     string
	seeds     []string // seeds of the files that were not handed out yet
	size      int64    // size of each file
	contracts map[string]*fakeContract
	accepted  int
	requests  []fakeRequest
	intercept func(http.ResponseWriter, *http.Request) bool
}

type fakeRequest struct {
	at    time.Time
	route string // first segment of the path
}

type fakeContract struct {
	state, challenge []byte
	due              time.Time
	accepted, ended  bool
}

func newFakeNode(t *testing.T, hb heartbeat.Heartbeat, files int) *fakeNode {
	n := &fakeNode{
		t: t, hb: hb, interval: time.Minute,
		size: 1000, contracts: make(map[string]*fakeContract),
	}
	for i := range files {
		n.seeds = append(n.seeds, fmt.Sprintf("seed %d", i))
	}
	return n
}

// set changes the node while it runs.
func (n *fakeNode) set(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
}

// times returns the times of the requests for a route.
func (n *fakeNode) times(route string) []time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	var at []time.Time
	for _, r := range n.requests {
		if r.route == route {
			at = append(at, r.at)
		}
	}
	return at
}

func (n *fakeNode) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	segments := strings.Split(strings.TrimPrefix(r.URL.Path, apiPath+"/"), "/")
	n.requests = append(n.requests, fakeRequest{time.Now(), segments[0]})
	if n.intercept != nil && n.intercept(w, r) {
		return
	}
	if segments[0] == "new" {
		token := make([]byte, 16)
		rand.Read(token)
		n.token = hex.EncodeToString(token)
		segments = []string{"heartbeat", n.token}
	}
	if segments[1] != n.token {
		status := http.StatusBadRequest
		if segments[0] == "heartbeat" {
			status = http.StatusNotFound
		}
		refuse(w, status, "Invalid token.")
		return
	}
	var body fakeBody
	if r.Method == http.MethodPost {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			n.t.Errorf("%s: body: %v", segments[0], err)
		}
	}
	if n.maxBatch > 0 && max(len(body.Hashes), len(body.Proofs)) > n.maxBatch {
		refuse(w, http.StatusBadRequest, "Too many.")
		return
	}
	reply(w, n.route(segments, body))
}

type fakeBody struct {
	Hashes []string `json:"hashes"`
	Proofs []Proof  `json:"proofs"`
}

func (n *fakeNode) route(segments []string, body fakeBody) any {
	switch segments[0] {
	case "heartbeat":
		return Registration{n.token, n.hb.Type(), n.hb.Public()}
	case "chunk":
		room, err := strconv.ParseInt(segments[2], 10, 64)
		if err != nil {
			n.t.Errorf("chunk: %v", err)
		}
		return map[string]any{"chunks": n.handOut(room)}
	case "challenge":
		items := []map[string]any{}
		for _, hash := range body.Hashes {
			items = append(items, n.current(hash))
		}
		return map[string]any{"challenges": items}
	case "answer":
		report := []Verdict{}
		for _, proof := range body.Proofs {
			report = append(report, n.judge(proof))
		}
		return map[string]any{"report": report}
	}
	n.t.Errorf("no route %q", segments[0])
	return nil
}

// handOut returns at most ten contracts, which is the protocol's default.
func (n *fakeNode) handOut(room int64) []map[string]any {
	chunks := []map[string]any{}
	for len(n.seeds) > 0 && n.size <= room && len(chunks) < 10 {
		var seed string
		seed, n.seeds = n.seeds[0], n.seeds[1:]
		room -= n.size
		sum, err := filestream.Hash(context.Background(), seed, n.size)
		must(n.t, err)
		hash := hex.EncodeToString(sum[:])
		var tag, tagJSON bytes.Buffer
		state, err := n.hb.Encode(context.Background(), filestream.New(seed, n.size), n.size, &tag,
			heartbeat.EncodeOptions{Challenges: n.challenges})
		must(n.t, err)
		must(n.t, n.hb.WriteTagJSON(&tagJSON, &tag))
		c := &fakeContract{due: time.Now().Add(n.interval)}
		c.challenge, c.state, err = n.hb.Challenge(state)
		must(n.t, err)
		n.contracts[hash] = c
		item := n.current(hash)
		item["seed"], item["size"], item["tag"] = seed, n.size, json.RawMessage(tagJSON.Bytes())
		chunks = append(chunks, item)
	}
	return chunks
}

// current returns one item of the response to /challenge.
func (n *fakeNode) current(hash string) map[string]any {
	now := time.Now()
	c := n.contracts[hash]
	switch {
	case c == nil:
		return map[string]any{"file_hash": hash, "error": "contract not found"}
	case c.expired(now, n.interval):
		return map[string]any{"file_hash": hash, "error": "contract expired"}
	case c.accepted && !now.Before(c.due) && !c.ended:
		challenge, state, err := n.hb.Challenge(c.state)
		if c.ended = err != nil; !c.ended {
			c.challenge, c.state = challenge, state
			c.accepted, c.due = false, c.due.Add(n.interval)
		}
	}
	if c.ended {
		return map[string]any{"file_hash": hash, "status": NoMoreChallenges}
	}
	challenge, err := n.hb.ChallengeJSON(c.challenge)
	must(n.t, err)
	return map[string]any{
		"file_hash": hash, "challenge": challenge, "answered": c.accepted,
		"due": int64(max(c.due.Sub(now), 0) / time.Second),
	}
}

func (n *fakeNode) judge(p Proof) Verdict {
	c := n.contracts[p.FileHash]
	if c == nil {
		return Verdict{FileHash: p.FileHash, Error: "contract not found"}
	}
	if c.expired(time.Now(), n.interval) {
		return Verdict{FileHash: p.FileHash, Error: "contract expired"}
	}
	proof, err := n.hb.ParseProof(p.Proof)
	must(n.t, err)
	valid, err := n.hb.Verify(c.state, c.challenge, proof)
	must(n.t, err)
	if !valid {
		return Verdict{FileHash: p.FileHash, Error: "proof invalid"}
	}
	if !c.accepted {
		c.accepted = true
		n.accepted++
	}
	return Verdict{FileHash: p.FileHash, Status: "ok"}
}

func (c *fakeContract) expired(now time.Time, interval time.Duration) bool {
	if c.accepted {
		return !now.Before(c.due.Add(interval))
	}
	return !now.Before(c.due)
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"status": "error", "message": message})
}

// hangUp closes the connection without a response.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		conn.Close()
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// serve runs the node on connections in memory and returns a client. With these
// connections, a synctest bubble can detect that all goroutines wait.
func (n *fakeNode) serve(t *testing.T, cfg ClientConfig) *Client {
	t.Helper()
	listener := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: n}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(listener)
	}()
	transport := &http.Transport{DialContext: listener.dial, MaxIdleConnsPerHost: 4}
	cfg.HTTP = &http.Client{Transport: transport}
	client, err := NewClient("http://node.test", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		server.Close()
		<-done
	})
	return client
}

// pipeListener accepts the connections that its dial method makes.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	local, remote := net.Pipe()
	select {
	case l.conns <- remote:
		return local, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "node.test", Net: "pipe"} }
