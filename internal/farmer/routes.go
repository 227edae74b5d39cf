package farmer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"time"
)

// object makes a call whose answer is one small object.
func (c *Client) object(ctx context.Context, r call, into any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return c.do(ctx, r, maxAnswer, func(body io.Reader, _ time.Time) error {
		return decodeInto(body, into)
	})
}

// Ping asks whether the node is there.
func (c *Client) Ping(ctx context.Context) error {
	var said struct {
		Msg string `json:"msg"`
	}
	if err := c.object(ctx, call{op: "ping", method: http.MethodGet}, &said); err != nil {
		return err
	}
	if said.Msg != "ok" {
		return fmt.Errorf("ping: the node says %.80q", said.Msg)
	}
	return nil
}

// Ownership proves that an address is the farmer's own.
type Ownership struct {
	Message   string `json:"message"`
	Signature string `json:"signature"` // base64
}

// NewToken asks for a token for an SJCX address, with a proof of ownership
// where own is not nil.
func (c *Client) NewToken(ctx context.Context, address string, own *Ownership) (Registration, error) {
	r := call{op: "new token", method: http.MethodGet, path: []string{"new", address}}
	if own != nil {
		r.method, r.body = http.MethodPost, own
	}
	return c.register(ctx, r)
}

// Heartbeat asks again what NewToken told.
func (c *Client) Heartbeat(ctx context.Context, token string) (Registration, error) {
	return c.register(ctx, call{op: "heartbeat", method: http.MethodGet, path: []string{"heartbeat", token}})
}

func (c *Client) register(ctx context.Context, r call) (Registration, error) {
	var told Registration
	if err := c.object(ctx, r, &told); err != nil {
		return Registration{}, err
	}
	if err := told.check(); err != nil {
		return Registration{}, fmt.Errorf("%s: the node's answer: %w", r.op, err)
	}
	return told, nil
}

// errStopped ends the reading of an answer that is no longer wanted.
var errStopped = errors.New("stopped")

// Chunks takes contracts whose sizes add up to at most size bytes, or to the
// node's default where size is 0. The contracts are handed on one at a time,
// as they arrive; each has been made, at the node, before the first arrives.
// An error ends the sequence.
func (c *Client) Chunks(ctx context.Context, token string, size int64) iter.Seq2[Chunk, error] {
	r := call{op: "chunk", method: http.MethodGet, path: []string{"chunk", token}}
	if size > 0 {
		r.path = append(r.path, strconv.FormatInt(size, 10))
	}
	return func(yield func(Chunk, error) bool) {
		ctx, cancel := context.WithTimeout(ctx, c.streamTimeout)
		defer cancel()
		// A tag is a small fraction of its file, so twice the size leaves
		// room for a scheme that is less frugal.
		err := c.do(ctx, r, maxAnswer+2*max(size, 0), func(body io.Reader, received time.Time) error {
			for chunk, err := range decodeChunks(body, received) {
				if err != nil {
					return err
				}
				if !yield(chunk, nil) {
					return errStopped
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(Chunk{}, err)
		}
	}
}

// Challenge asks for the current challenge of one contract.
func (c *Client) Challenge(ctx context.Context, token, fileHash string) (Challenge, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var challenge Challenge
	r := call{op: "challenge", method: http.MethodGet, path: []string{"challenge", token, fileHash}}
	err := c.do(ctx, r, maxAnswer, func(body io.Reader, received time.Time) error {
		challenge.Received = received
		return decodeInto(body, &challenge)
	})
	if err != nil {
		return Challenge{}, err
	}
	challenge.FileHash = fileHash
	return challenge, nil
}

// Challenges asks for the current challenges of the contracts named, in that
// order, or of all contracts of the token where hashes is nil.
func (c *Client) Challenges(ctx context.Context, token string, hashes []string) ([]Challenge, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	r := call{op: "challenge", method: http.MethodGet, path: []string{"challenge", token}}
	if hashes != nil {
		r.method = http.MethodPost
		r.body = struct {
			Hashes []string `json:"hashes"`
		}{hashes}
	}
	var challenges []Challenge
	err := c.do(ctx, r, maxAnswer, func(body io.Reader, received time.Time) (err error) {
		challenges, err = decodeChallenges(body, received)
		return err
	})
	return challenges, err
}

// Answer sends one proof. That it does not count is an [Error].
func (c *Client) Answer(ctx context.Context, token string, proof Proof) error {
	r := c.answer([]string{"answer", token, proof.FileHash}, struct {
		Proof any `json:"proof"`
	}{proof.Proof})
	var verdict Verdict
	if err := c.object(ctx, r, &verdict); err != nil {
		return err
	}
	if !verdict.OK() {
		return fmt.Errorf("answer: the node says status %.80q, error %.80q", verdict.Status, verdict.Error)
	}
	return nil
}

// Answers sends a batch of proofs and gives the report on it.
func (c *Client) Answers(ctx context.Context, token string, proofs []Proof) ([]Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	r := c.answer([]string{"answer", token}, struct {
		Proofs []Proof `json:"proofs"`
	}{proofs})
	var report []Verdict
	err := c.do(ctx, r, maxAnswer, func(body io.Reader, _ time.Time) (err error) {
		report, err = decodeReport(body)
		return err
	})
	return report, err
}

func (c *Client) answer(path []string, body any) call {
	r := call{op: "answer", method: http.MethodPost, path: path, body: body}
	if c.encoding != Plain {
		r.header = http.Header{"Content-Encoding": {"gzip"}}
	}
	r.gzip = c.encoding == Compressed
	return r
}

// StatusQuery chooses from the list of farmers. The zero value is all.
type StatusQuery struct {
	Online     bool
	Sort       string // id, address, uptime, heartbeats, contracts, size, online
	Descending bool   // with Sort
	Limit      int    // farmers per page, 0 for no pages
	Page       int    // from 0, with Limit
}

func (q StatusQuery) path() []string {
	path := []string{"status", "list"}
	if q.Online {
		path = append(path, "online")
	}
	if q.Sort != "" {
		path = append(path, "by")
		if q.Descending {
			path = append(path, "d")
		}
		path = append(path, q.Sort)
	}
	if q.Limit > 0 {
		path = append(path, strconv.Itoa(q.Limit))
		if q.Page > 0 {
			path = append(path, strconv.Itoa(q.Page))
		}
	}
	return path
}

// StatusList lists farmers.
func (c *Client) StatusList(ctx context.Context, q StatusQuery) ([]FarmerStatus, error) {
	var list struct {
		Farmers []FarmerStatus `json:"farmers"`
	}
	err := c.object(ctx, call{op: "status list", method: http.MethodGet, path: q.path()}, &list)
	return list.Farmers, err
}

// StatusShow describes one farmer by its id.
func (c *Client) StatusShow(ctx context.Context, id string) (FarmerStatus, error) {
	var status FarmerStatus
	err := c.object(ctx, call{op: "status show", method: http.MethodGet, path: []string{"status", "show", id}}, &status)
	return status, err
}
