package queue

import (
	"fmt"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// stateVersion is that of the form. Whatever the form becomes, the contract's
// Version stays in the 8 bytes after it: the guard of Put reads it there.
const stateVersion = 1

// contractSize is how long a contract's form is, or a little more.
func contractSize(c *node.Contract) int {
	const fixed = 192 // more than all that is in every contract
	return fixed + len(c.Wrong)*len(node.Digest{}) + len(c.Challenge) + len(c.State)
}

func appendContract(b []byte, c *node.Contract) []byte {
	b = append(b, stateVersion)
	b = appendInt64(b, c.Version)
	b = appendInt64(b, c.ID)
	b = appendInt64(b, c.TokenID)
	b = appendInt64(b, c.KeyID)
	b = append(b, c.FileHash[:]...)
	b = appendInt64(b, c.Size)
	b = appendInt64(b, int64(c.Interval))
	b = appendInt64(b, c.Sequence)
	b = appendTime(b, c.Due)
	b = appendBool(b, c.Answered)
	b = append(b, c.Accepted[:]...)
	b = appendCount(b, len(c.Wrong))
	for _, d := range c.Wrong {
		b = append(b, d[:]...)
	}
	b = appendBlob(b, c.Challenge)
	return appendBlob(b, c.State)
}

// parseContract reads what appendContract wrote; challenge and state are
// parts of b.
func parseContract(b []byte) (*node.Contract, error) {
	p := parser{rest: b}
	p.version(stateVersion)
	c := &node.Contract{Version: p.int64(), ID: p.int64(), TokenID: p.int64(), KeyID: p.int64()}
	copy(c.FileHash[:], p.bytes(len(c.FileHash)))
	c.Size = p.int64()
	c.Interval = time.Duration(p.int64())
	c.Sequence = p.int64()
	c.Due = p.time()
	c.Answered = p.boolean()
	copy(c.Accepted[:], p.bytes(len(c.Accepted)))
	if n := p.count(len(node.Digest{})); n > 0 {
		c.Wrong = make([]node.Digest, n)
	}
	for i := range c.Wrong {
		copy(c.Wrong[i][:], p.bytes(len(c.Wrong[i])))
	}
	c.Challenge = p.blob()
	c.State = p.blob()
	if err := p.end(); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	return c, nil
}
