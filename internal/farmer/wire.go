package farmer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
)

// NoMoreChallenges is the status of a contract whose challenges have all been
// issued and answered.
const NoMoreChallenges = "no more challenges"

// Registration is what a node tells the holder of a token.
type Registration struct {
	Token     string          `json:"token"` // 32 hex digits, a bearer secret
	Type      heartbeat.Type  `json:"type"`
	Heartbeat json.RawMessage `json:"heartbeat"` // public
}

// FarmerID is the public name of the token's farmer, empty for a token that
// is not hexadecimal.
func FarmerID(token string) string {
	b, err := hex.DecodeString(token)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:10])
}

// Issued is a challenge and how long it can be answered.
type Issued struct {
	Challenge json.RawMessage `json:"challenge"`
	// Due is whole seconds from the moment of the answer, rounded down.
	Due int64 `json:"due"`
	// Received is when the answer that it came in began to arrive.
	Received time.Time `json:"-"`
}

// maxDue bounds what a node can claim, so that no sum of times overflows.
const maxDue = 10 * 365 * 24 * time.Hour

// DueAt is Due as a moment: up to a second before the node's own, because of
// the rounding, and later than that by no more than the answer's way.
func (i Issued) DueAt() time.Time {
	seconds := min(max(i.Due, 0), int64(maxDue/time.Second))
	return i.Received.Add(time.Duration(seconds) * time.Second)
}

// Chunk is a contract as it is handed out.
type Chunk struct {
	FileHash string          `json:"file_hash"`
	Seed     string          `json:"seed"`
	Size     int64           `json:"size"`
	Tag      json.RawMessage `json:"tag"`
	Issued
}

// Challenge is the current challenge of a contract, or why there is none:
// then Status or Error is set.
type Challenge struct {
	FileHash string `json:"file_hash"`
	Answered bool   `json:"answered"`
	Status   string `json:"status"`
	Error    string `json:"error"`
	Issued
}

// Proof is one answer.
type Proof struct {
	FileHash string          `json:"file_hash"`
	Proof    json.RawMessage `json:"proof"`
}

// Verdict is one line of the report on a batch of proofs.
type Verdict struct {
	FileHash string `json:"file_hash"`
	Status   string `json:"status"`
	Error    string `json:"error"`
}

// OK says whether the proof counts.
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
	// LastDue is left as it came: the protocol does not fix its form.
	LastDue json.RawMessage `json:"last_due"`
}

// Location is where a farmer's network address is thought to be; what is not
// known is nil.
type Location struct {
	Country *string  `json:"country"`
	State   *string  `json:"state"`
	City    *string  `json:"city"`
	Zip     *string  `json:"zip"`
	Lat     *float64 `json:"lat"`
	Lon     *float64 `json:"lon"`
}

// check refuses what must not reach the disk: a file hash becomes part of a
// path, and a size the length of a file.
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
	if len(s) != hex.EncodedLen(sha256.Size) {
		return false
	}
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'a' || r > 'f') {
			return false
		}
	}
	return true
}

var errIncomplete = errors.New("token, type or heartbeat is missing")

func (r *Registration) check() error {
	if r.Token == "" || r.Type == "" || len(r.Heartbeat) == 0 {
		return errIncomplete
	}
	return nil
}
