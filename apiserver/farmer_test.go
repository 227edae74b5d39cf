package apiserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

const (
	api     = "/api/downstream/v1"
	address = "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"
)

// response is the server's response to one request.
type response struct {
	status int
	header http.Header
	body   string
	last   bool // the server closes the connection after this response
}

// ask sends a request and checks it against the OpenAPI description. It sends bytes
// and text unchanged, and encodes any other body as JSON. header contains names and
// values in turn.
func (r *replica) ask(t testing.TB, method, path string, body any, header ...string) response {
	t.Helper()
	got, err := r.try(t, method, path, body, header...)
	must(t, err)
	checkDescribed(t, method, path, body, got)
	return got
}

// try sends a request like ask, but returns an error if the connection breaks. It does
// not check the OpenAPI description.
func (r *replica) try(t testing.TB, method, path string, body any, header ...string) (response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, r.URL+path, reader(t, body))
	must(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := r.Client().Do(req)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return response{resp.StatusCode, resp.Header, string(text), resp.Close}, err
}

func reader(t testing.TB, body any) io.Reader {
	t.Helper()
	switch body := body.(type) {
	case nil:
		return nil
	case io.Reader:
		return body
	case []byte:
		return bytes.NewReader(body)
	case string:
		return strings.NewReader(body)
	}
	return bytes.NewReader(asJSON(t, body))
}

func asJSON(t testing.TB, v any) json.RawMessage {
	t.Helper()
	raw, err := json.Marshal(v)
	must(t, err)
	return raw
}

// decodeOK decodes the body of a successful response.
func decodeOK[T any](t testing.TB, a response) T {
	t.Helper()
	var v T
	if a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	must(t, json.Unmarshal([]byte(a.body), &v))
	return v
}

// want fails the test unless the response has the status and contains the text.
func (a response) want(t testing.TB, status int, text string) {
	t.Helper()
	if a.status != status || !strings.Contains(a.body, text) {
		t.Errorf("%d %.300s; want %d with %q", a.status, a.body, status, text)
	}
}

// farmer has a token and its own IP address.
type farmer struct {
	*replica
	h     *harness
	token node.Token
	ip    string
}

// newFarmer creates a token directly in the store. The token depends only on n. When
// the test ends, newFarmer checks that the log does not contain the token.
func (h *harness) newFarmer(t testing.TB, n byte) *farmer {
	t.Helper()
	f := &farmer{h.replica, h, node.Token{15: n}, fmt.Sprintf("192.0.2.%d", n)}
	created := h.Clock.Now().Add(time.Duration(n) * time.Microsecond) // limits count tokens by age
	must(t, h.Store.CreateToken(t.Context(), store.NewToken{
		Hash: f.token.Hash(), Address: address, IP: f.ip, KeyID: h.Keys.Current().ID,
	}, store.TokenLimits{}, created))
	t.Cleanup(func() {
		if strings.Contains(h.Logs.String(), f.token.Hex()) {
			t.Errorf("a token is in the log:\n%s", h.Logs)
		}
	})
	return f
}

// at returns the path of a route with the farmer's token.
func (f *farmer) at(route string, rest ...string) string {
	return api + "/" + strings.Join(append([]string{route, f.token.Hex()}, rest...), "/")
}

func (f *farmer) ask(t testing.TB, method, path string, body any, header ...string) response {
	t.Helper()
	return f.replica.ask(t, method, path, body, append(header, "X-Forwarded-For", f.ip)...)
}

func (f *farmer) record(t testing.TB) store.Token {
	t.Helper()
	record, err := f.h.Store.Token(t.Context(), f.token.Hash())
	must(t, err)
	return record
}

func (f *farmer) heartbeats(t testing.TB) int64 {
	t.Helper()
	shown, err := f.h.Store.Farmer(t.Context(), f.token.Hash().FarmerID(), f.h.Clock.Now())
	must(t, err)
	return shown.Heartbeats
}

// contract is a contract as the API sends it.
type contract struct {
	FileHash  string          `json:"file_hash"`
	Seed      string          `json:"seed"`
	Size      int64           `json:"size"`
	Challenge json.RawMessage `json:"challenge"`
	Tag       json.RawMessage `json:"tag"`
	Due       int64           `json:"due"`
	Answered  bool            `json:"answered"`
	Status    string          `json:"status"`
	Error     string          `json:"error"`
}

// take asks the API for contracts of at most size bytes in total.
func (f *farmer) take(t testing.TB, size int) []contract {
	t.Helper()
	return decodeOK[struct{ Chunks []contract }](t, f.ask(t, "GET", f.at("chunk", fmt.Sprint(size)), nil)).Chunks
}

// takeOne adds a chunk to the inventory and requests the contract for it.
func (f *farmer) takeOne(t testing.TB, seed string) contract {
	t.Helper()
	f.h.stock(t, seed, 100, heartbeat.EncodeOptions{Challenges: 4})
	chunks := f.take(t, 100)
	if len(chunks) != 1 {
		t.Fatalf("%d contracts, want 1", len(chunks))
	}
	return chunks[0]
}

// next requests the contract's next challenge.
func (f *farmer) next(t testing.TB, c *contract) {
	t.Helper()
	got := decodeOK[contract](t, f.ask(t, "GET", f.at("challenge", c.FileHash), nil))
	c.Challenge, c.Due, c.Answered, c.Status = got.Challenge, got.Due, got.Answered, got.Status
}

// prove computes the proof from content. If content is nil, it uses the file's content.
func (f *farmer) prove(t testing.TB, c contract, content io.ReaderAt) json.RawMessage {
	t.Helper()
	if content == nil {
		content = filestream.New(c.Seed, c.Size)
	}
	key := f.h.Keys.Current()
	p, err := schemes.ParsePublic(key.Type(), key.Public())
	must(t, err)
	tag, err := p.ParseTag(c.Tag)
	must(t, err)
	challenge, err := p.ParseChallenge(c.Challenge)
	must(t, err)
	proof, err := p.Prove(t.Context(), content, c.Size, tag, challenge)
	must(t, err)
	wire, err := p.ProofJSON(proof)
	must(t, err)
	return wire
}

// proofOf is an element of the body of POST /answer/{token}.
type proofOf struct {
	FileHash string          `json:"file_hash"`
	Proof    json.RawMessage `json:"proof"`
}

type proofs struct {
	Proofs []proofOf `json:"proofs"`
}

type report struct {
	Report []struct {
		FileHash string `json:"file_hash"`
		Status   string `json:"status"`
		Error    string `json:"error"`
	} `json:"report"`
}

// submit sends the proof for the contract's challenge.
func (f *farmer) submit(t testing.TB, c contract, proof json.RawMessage, header ...string) response {
	t.Helper()
	return f.ask(t, "POST", f.at("answer", c.FileHash), map[string]json.RawMessage{"proof": proof}, header...)
}

// stock adds a chunk for the current key to the inventory. With Merkle, the same
// arguments always produce the same chunk.
func (h *harness) stock(t testing.TB, seed string, size int64, opt heartbeat.EncodeOptions) {
	t.Helper()
	if opt.RootSeed == nil {
		opt.RootSeed = bytes.Repeat([]byte{7}, 32)
	}
	h.addChunk(t, h.encode(t, h.Keys.Current(), seed, size, opt))
}

// encode computes the tag and the first challenge of a chunk.
func (h *harness) encode(t testing.TB, key keyring.Key, seed string, size int64, opt heartbeat.EncodeOptions) store.NewChunk {
	t.Helper()
	var tag bytes.Buffer
	state, err := key.Encode(t.Context(), filestream.New(seed, size), size, &tag, opt)
	must(t, err)
	challenge, state, err := key.Challenge(state)
	must(t, err)
	hash, err := filestream.Hash(t.Context(), seed, size)
	must(t, err)
	return store.NewChunk{
		Seed: seed, Hash: hash, Size: size, KeyID: key.ID, Challenge: challenge, State: state,
		Tag: bytes.NewReader(tag.Bytes()),
	}
}

func (h *harness) addChunk(t testing.TB, chunk store.NewChunk) {
	t.Helper()
	must(t, h.Store.Stock(t.Context(), 0, chunk, h.Clock.Now()))
}
