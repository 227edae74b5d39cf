package page

import (
	"context"
	"errors"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// Records are what the page shows. They may be asked many times a second, but
// for what is over all farmers only once every few seconds.
type Records interface {
	// List reads a page of the farmers asked for, and how many there are of them.
	List(ctx context.Context, q Query) (farmers []Farmer, total int, err error)
	// Show reads one farmer, or fails with ErrNotFound.
	Show(ctx context.Context, id string) (Farmer, error)
	// Days is a farmer's history, the oldest day first: the last count of them.
	Days(ctx context.Context, id string, count int) ([]node.Day, error)
	Summary(ctx context.Context) (node.Totals, error)
	Places(ctx context.Context) ([]node.Place, error)
	// History is the spans of time from the one that holds from to the one that
	// holds to, as far as they are known; step is a minute, an hour or a day.
	History(ctx context.Context, from, to time.Time, step time.Duration) ([]node.Span, error)
}

// ErrNotFound is Show's for a farmer that there is not.
var ErrNotFound = errors.New("farmer not found")

// Query is which farmers to list, and in what order.
type Query struct {
	Sort   string // one of sorts
	Desc   bool
	Online bool   // those alone that are
	Search string // what an id begins with, or an address contains; "" means all
	Limit  int
	Page   int // from 0
}

// Farmer is what everyone may know of one.
type Farmer struct {
	ID         string
	Address    string
	Location   *node.Location // nil where unknown
	Uptime     float64        // percent
	Heartbeats int64
	Contracts  int64
	Size       int64 // bytes
	Online     bool
	LastDue    time.Time // zero without a contract
}
