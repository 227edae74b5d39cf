package farmer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/wirejson"
)

// NoMoreChallenges is the status of a contract whose challenges have all been
// issued and proved.
const NoMoreChallenges = "no more challenges"

// Registration is the node's response to the holder of a token.
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

// Issued is a challenge with the time that remains until it is due.
type Issued struct {
	Challenge json.RawMessage `json:"challenge"`
	// Due is in whole seconds after the response, rounded down.
	Due int64 `json:"due"`
	// Received is when the response began to arrive.
	Received time.Time `json:"-"`
}

// maxDue is the maximum due that a node can send. It ensures that no sum of times
// overflows.
const maxDue = 10 * 365 * 24 * time.Hour

// DueAt returns Due as a time. The time is up to one second too early because of
// the rounding. It is too late by at most the time that the response takes on the
// network.
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

// Challenge is the current challenge of a contract. If the contract has no current
// challenge, Status or Error contains the reason.
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

func (c Challenge) file() string { return c.FileHash }
func (v Verdict) file() string   { return v.FileHash }

// OK reports whether the node accepted the proof.
func (v Verdict) OK() bool { return v.Error == "" && v.Status == "ok" }

// FarmerStatus is one farmer in the status API. It omits members that no caller
// needs.
type FarmerStatus struct {
	ID         string  `json:"id"`
	Address    string  `json:"address"`
	Uptime     float64 `json:"uptime"` // percent
	Heartbeats int64   `json:"heartbeats"`
	Contracts  int64   `json:"contracts"`
	Size       int64   `json:"size"`
	Online     bool    `json:"online"`
	Standing   string  `json:"standing"` // "" if the node does not rate farmers
	Score      *struct {
		Lower float64 `json:"lower"` // percent
	} `json:"score"` // nil if there is none
	// LastDue is not parsed: the protocol does not fix its format.
	LastDue  json.RawMessage `json:"last_due"`
	Location struct {
		Country *string `json:"country"` // nil if unknown
	} `json:"location"`
}

// FarmerEvent says why a contract ended, or how the farmer's standing changed.
type FarmerEvent struct {
	Time     int64  `json:"time"` // Unix seconds
	Kind     string `json:"kind"`
	FileHash string `json:"file_hash"` // empty if the event is not about a contract
	Reason   string `json:"reason"`
}

// check rejects values that are not safe to use on the disk. The file hash becomes
// part of a path, and the size becomes the length of a file.
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

// decodeArray reads the JSON object in body. It decodes the array in the member
// called name. It passes each item to use, and holds one item at a time. It skips
// other members.
func decodeArray[T any](body io.Reader, name string, use func(T) error) error {
	found := false
	var in wirejson.Reader
	in.Reset(body)
	err := in.Object(func(member []byte) error {
		if string(member) != name {
			return in.Skip()
		}
		found = true
		_, err := in.Array(func(i int) error {
			text, err := in.Value()
			if err != nil {
				return err
			}
			var item T
			if err := json.Unmarshal(text, &item); err != nil {
				return fmt.Errorf("item %d of %q: %w", i, name, err)
			}
			return use(item)
		})
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("no member %q", name)
	}
	return err
}

// collect returns all items of an array that decodeArray reads.
func collect[T any](body io.Reader, name string) (items []T, err error) {
	err = decodeArray(body, name, func(item T) error {
		items = append(items, item)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return items, nil
}

// decodeChunks passes the contracts of a response to use.
func decodeChunks(body io.Reader, received time.Time, use func(Chunk) error) error {
	return decodeArray(body, "chunks", func(chunk Chunk) error {
		if err := chunk.check(); err != nil {
			return err
		}
		chunk.Received = received
		return use(chunk)
	})
}

// decodeChallenges decodes a response with the challenges of many contracts.
func decodeChallenges(body io.Reader, received time.Time) ([]Challenge, error) {
	challenges, err := collect[Challenge](body, "challenges")
	for i := range challenges {
		challenges[i].Received = received
	}
	return challenges, err
}
