package farmer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"time"
)

// object makes a call and decodes its response, which is one small JSON object.
func (c *Client) object(ctx context.Context, r call, into any) error {
	return c.do(ctx, r, func(body io.Reader, _ time.Time) error {
		return json.NewDecoder(body).Decode(into)
	})
}

// Ownership proves that an SJCX address belongs to the farmer.
type Ownership struct {
	Message   string `json:"message"`
	Signature string `json:"signature"` // base64
}

// NewToken requests a token for an SJCX address. If own is not nil, it proves that
// the farmer owns the SJCX address.
func (c *Client) NewToken(ctx context.Context, address string, own *Ownership) (Registration, error) {
	r := call{op: "new token", path: []string{"new", address}}
	if own != nil {
		r.body = own
	}
	return c.register(ctx, r)
}

// Heartbeat requests the same registration that NewToken returned.
func (c *Client) Heartbeat(ctx context.Context, token string) (Registration, error) {
	return c.register(ctx, call{op: "heartbeat", path: []string{"heartbeat", token}})
}

func (c *Client) register(ctx context.Context, r call) (Registration, error) {
	var registration Registration
	if err := c.object(ctx, r, &registration); err != nil {
		return Registration{}, err
	}
	if err := registration.check(); err != nil {
		return Registration{}, fmt.Errorf("%s: the node's response: %w", r.op, err)
	}
	return registration, nil
}

// errStopped ends the reading of a response that the caller no longer needs.
var errStopped = errors.New("stopped")

// Chunks takes contracts whose sizes add up to at most size bytes. If size is 0,
// the node's default applies. Chunks yields each contract when it arrives. The node
// has made all of the contracts before it sends the first contract. An error ends
// the sequence.
func (c *Client) Chunks(ctx context.Context, token string, size int64) iter.Seq2[Chunk, error] {
	r := call{op: "chunk", path: []string{"chunk", token}, timeout: chunkTimeout}
	if size > 0 {
		r.path = append(r.path, strconv.FormatInt(size, 10))
		// A tag is a small fraction of its file. Twice the size leaves room for
		// schemes with larger tags.
		r.limit = maxResponse + 2*size
	}
	return func(yield func(Chunk, error) bool) {
		err := c.do(ctx, r, func(body io.Reader, received time.Time) error {
			return decodeChunks(body, received, func(chunk Chunk) error {
				if !yield(chunk, nil) {
					return errStopped
				}
				return nil
			})
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(Chunk{}, err)
		}
	}
}

// Challenges requests the current challenges of the named contracts, in that order.
// If hashes is nil, it requests the challenges of all contracts of the token.
func (c *Client) Challenges(ctx context.Context, token string, hashes []string) (challenges []Challenge, err error) {
	r := call{op: "challenge", path: []string{"challenge", token}}
	if hashes != nil {
		r.body = map[string][]string{"hashes": hashes}
	}
	err = c.do(ctx, r, func(body io.Reader, received time.Time) (err error) {
		challenges, err = decodeChallenges(body, received)
		return err
	})
	return challenges, err
}

// Answers sends a batch of proofs and returns the report on the batch. It sends a
// plain body with "Content-Encoding: gzip", as the clients of farmers do.
func (c *Client) Answers(ctx context.Context, token string, proofs []Proof) (report []Verdict, err error) {
	r := call{
		op: "answer", path: []string{"answer", token},
		body:   map[string][]Proof{"proofs": proofs},
		header: http.Header{"Content-Encoding": {"gzip"}},
	}
	err = c.do(ctx, r, func(body io.Reader, _ time.Time) (err error) {
		report, err = collect[Verdict](body, "report")
		return err
	})
	return report, err
}

// StatusQuery selects and orders farmers. The zero value selects all farmers.
type StatusQuery struct {
	Online     bool
	Sort       string // a name in node.FarmerSorts, or "" for the node's order
	Descending bool   // used with Sort
	Limit      int    // maximum number of farmers in a page; 0 for no pages
	Page       int    // from 0; used with Limit
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
	err := c.object(ctx, call{op: "status list", path: q.path()}, &list)
	return list.Farmers, err
}

// StatusShow returns one farmer.
func (c *Client) StatusShow(ctx context.Context, id string) (f FarmerStatus, err error) {
	err = c.object(ctx, call{op: "status show", path: []string{"status", "show", id}}, &f)
	return f, err
}

// StatusEvents returns the last events of a farmer, the newest first.
func (c *Client) StatusEvents(ctx context.Context, id string) ([]FarmerEvent, error) {
	var list struct {
		Events []FarmerEvent `json:"events"`
	}
	err := c.object(ctx, call{op: "status events", path: []string{"status", "show", id, "events"}}, &list)
	return list.Events, err
}
