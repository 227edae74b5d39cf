package farmer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
)

// NoMoreChallenges is the status of a contract whose challenges have all been
// issued and proved.
const NoMoreChallenges = "no more challenges"

// Registration is what a node returns to the holder of a token.
type Registration struct {
	Token     string          `json:"token"` // 32 hex digits, a bearer secret
	Type      heartbeat.Type  `json:"type"`
	Heartbeat json.RawMessage `json:"heartbeat"` // public
}

// FarmerID returns the public id of the token's farmer. It is empty if the token
// is not hexadecimal.
func FarmerID(token string) string {
	b, err := hex.DecodeString(token)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:10])
}

// Issued is a challenge and the time until it is due.
type Issued struct {
	Challenge json.RawMessage `json:"challenge"`
	// Due is in whole seconds from the time of the response, rounded down.
	Due int64 `json:"due"`
	// Received is when the response began to arrive.
	Received time.Time `json:"-"`
}

// maxDue limits the due that a node can send, so that no sum of times overflows.
const maxDue = 10 * 365 * 24 * time.Hour

// DueAt returns Due as a time. It is up to a second too early because of the
// rounding, and too late by at most the response's time on the network.
func (i Issued) DueAt() time.Time {
	seconds := min(max(i.Due, 0), int64(maxDue/time.Second))
	return i.Received.Add(time.Duration(seconds) * time.Second)
}

// Chunk is a contract that the node hands out.
type Chunk struct {
	FileHash string          `json:"file_hash"`
	Seed     string          `json:"seed"`
	Size     int64           `json:"size"`
	Tag      json.RawMessage `json:"tag"`
	Issued
}

// Challenge is the current challenge of a contract. If there is none, Status or
// Error says why.
type Challenge struct {
	FileHash string `json:"file_hash"`
	Answered bool   `json:"answered"`
	Status   string `json:"status"`
	Error    string `json:"error"`
	Issued
}

// Proof is one proof in a batch.
type Proof struct {
	FileHash string          `json:"file_hash"`
	Proof    json.RawMessage `json:"proof"`
}

// Verdict is one item of the report on a batch of proofs.
type Verdict struct {
	FileHash string `json:"file_hash"`
	Status   string `json:"status"`
	Error    string `json:"error"`
}

// OK reports whether the node accepted the proof.
func (v Verdict) OK() bool { return v.Error == "" && v.Status == "ok" }

// FarmerStatus is one farmer in the status API.
type FarmerStatus struct {
	ID       string   `json:"id"`
	Address  string   `json:"address"`
	Location Location `json:"location"`
	// Uptime is in percent.
	Uptime     float64 `json:"uptime"`
	Heartbeats int64   `json:"heartbeats"`
	Contracts  int64   `json:"contracts"`
	Size       int64   `json:"size"`
	Online     bool    `json:"online"`
	IPHash     string  `json:"ip_hash"`
	// LastDue is not parsed: the protocol does not fix its format.
	LastDue json.RawMessage `json:"last_due"`
}

// Location is the estimated place of a farmer's IP address. Unknown fields are
// nil.
type Location struct {
	Country *string  `json:"country"`
	State   *string  `json:"state"`
	City    *string  `json:"city"`
	Zip     *string  `json:"zip"`
	Lat     *float64 `json:"lat"`
	Lon     *float64 `json:"lon"`
}

// check rejects values that are not safe to use on the disk: the file hash
// becomes part of a path, and the size becomes the length of a file.
func (c *Chunk) check() error {
	switch {
	case !isFileHash(c.FileHash):
		return fmt.Errorf("file_hash %.80q is not 64 lower-case hex digits", c.FileHash)
	case c.Size < 0:
		return fmt.Errorf("file %s has a size of %d bytes", c.FileHash, c.Size)
	case len(c.Tag) == 0:
		return fmt.Errorf("file %s has no tag", c.FileHash)
	case len(c.Challenge) == 0:
		return fmt.Errorf("file %s has no challenge", c.FileHash)
	}
	return nil
}

func isFileHash(s string) bool {
	sum, err := hex.DecodeString(s)
	return err == nil && len(sum) == sha256.Size && s == strings.ToLower(s)
}

func (r *Registration) check() error {
	if r.Token == "" || r.Type == "" || len(r.Heartbeat) == 0 {
		return errors.New("token, type or heartbeat is missing")
	}
	return nil
}

// elements yields the items of the array that the JSON object in r holds under
// name. It decodes one item at a time, so its memory is proportional to the
// largest item. It skips other members. An error ends the sequence; the items
// before it are valid.
func elements[T any](r io.Reader, name string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		dec := json.NewDecoder(r)
		if err := seekArray(dec, name); err != nil {
			yield(zero, err)
			return
		}
		for dec.More() {
			var item T
			if err := dec.Decode(&item); err != nil {
				yield(zero, fmt.Errorf("item of %q: %w", name, unexpectedEOF(err)))
				return
			}
			if !yield(item, nil) {
				return
			}
		}
		// A response can be cut off between two items.
		if err := expect(dec, json.Delim(']')); err != nil {
			yield(zero, fmt.Errorf("end of %q: %w", name, err))
		}
	}
}

// collect returns all items of such an array.
func collect[T any](r io.Reader, name string) ([]T, error) {
	var items []T
	for item, err := range elements[T](r, name) {
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

// seekArray reads up to and including the opening bracket of the array.
func seekArray(dec *json.Decoder, name string) error {
	if err := expect(dec, json.Delim('{')); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return unexpectedEOF(err)
		}
		if key == name {
			return expect(dec, json.Delim('['))
		}
		var skipped json.RawMessage
		if err := dec.Decode(&skipped); err != nil {
			return fmt.Errorf("member %q: %w", key, unexpectedEOF(err))
		}
	}
	return fmt.Errorf("no member %q", name)
}

func expect(dec *json.Decoder, want json.Delim) error {
	got, err := dec.Token()
	if err != nil {
		return unexpectedEOF(err)
	}
	if got != want {
		return fmt.Errorf("%v instead of %v", got, want)
	}
	return nil
}

// unexpectedEOF replaces io.EOF, which here means the end of input inside an
// object.
func unexpectedEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// decodeChunks decodes a response with contracts.
func decodeChunks(r io.Reader, received time.Time) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		for chunk, err := range elements[Chunk](r, "chunks") {
			if err == nil {
				err = chunk.check()
			}
			if err != nil {
				yield(Chunk{}, err)
				return
			}
			chunk.Received = received
			if !yield(chunk, nil) {
				return
			}
		}
	}
}

// decodeChallenges decodes a response with the challenges of many contracts.
func decodeChallenges(r io.Reader, received time.Time) ([]Challenge, error) {
	challenges, err := collect[Challenge](r, "challenges")
	for i := range challenges {
		challenges[i].Received = received
	}
	return challenges, err
}

// decodeObject decodes a response that is one small object.
func decodeObject(r io.Reader, v any) error {
	return unexpectedEOF(json.NewDecoder(r).Decode(v))
}
