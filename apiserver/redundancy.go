package apiserver

import (
	"context"
	"errors"
	"math"
	"net/http"
	"time"

	"github.com/gorilla/mux"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

// copiesLife is how long a replica caches the counts of copies and of repairs. To count
// the copies takes half a second if there are 1,000,000 contracts.
const copiesLife = 10 * time.Second

// copiesStatus is what a replica caches.
type copiesStatus struct {
	counts  []store.CopyCount
	repairs node.Repairs
}

func (s *Server) readCopies(ctx context.Context) (status copiesStatus, err error) {
	if status.counts, err = s.Store.CopyCounts(ctx); err != nil {
		return status, err
	}
	status.repairs, err = s.Store.Repairs(ctx, s.Now())
	return status, err
}

// redundancyResponse says how many files have enough proved copies, and how long copies last.
type redundancyResponse struct {
	Target      int64         `json:"target"`
	Files       int64         `json:"files"`
	Bytes       int64         `json:"bytes"`
	BelowTarget fileTotals    `json:"below_target"`
	ByCopies    []copiesCount `json:"by_copies"`

	// Of the last 24 hours.
	Losses       int64    `json:"losses_24h"`
	CopyDays     float64  `json:"copy_days_24h"`
	Repairs      int64    `json:"repairs_24h"`
	RepairMean   *float64 `json:"repair_time_mean"` // in seconds, as the next two; nil if there were no repairs
	RepairMedian *float64 `json:"repair_time_median"`
	RepairP99    *float64 `json:"repair_time_p99"`

	// See node.Repairs.DaysToLoss; nil if nothing can be said.
	ExpectedDays *float64 `json:"expected_days_to_loss"`
	DaysAtLeast  *float64 `json:"days_to_loss_at_least"`
}

type fileTotals struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

type copiesCount struct {
	Copies int64 `json:"copies"`
	Files  int64 `json:"files"`
}

// statusRedundancy handles GET /status/redundancy.
func (s *Server) statusRedundancy(r *http.Request) (response redundancyResponse, err error) {
	status, err := s.copies.read(r.Context(), struct{}{}, s.Now(), s.readCopies)
	response = redundancyResponse{Target: s.Redundancy, ByCopies: []copiesCount{}} // not nil, so that an empty list is encoded as []
	for _, c := range status.counts {
		response.Files += c.Files
		response.Bytes += c.Bytes
		if c.Copies < s.Redundancy {
			response.BelowTarget.Files += c.Files
			response.BelowTarget.Bytes += c.Bytes
		}
		response.ByCopies = append(response.ByCopies, copiesCount{c.Copies, c.Files})
	}
	seen := status.repairs
	response.Losses, response.CopyDays, response.Repairs = seen.Losses, rounded(seen.CopyDays), seen.Repairs
	if seen.Repairs > 0 {
		seconds := func(d time.Duration) *float64 { s := rounded(d.Seconds()); return &s }
		response.RepairMean, response.RepairMedian, response.RepairP99 = seconds(seen.Mean), seconds(seen.Median), seconds(seen.P99)
	}
	expected, atLeast := seen.DaysToLoss(s.Redundancy)
	response.ExpectedDays, response.DaysAtLeast = optionalDays(expected), optionalDays(atLeast)
	return response, err
}

// rounded rounds down to three decimals.
func rounded(v float64) float64 { return math.Floor(1e3*v) / 1e3 }

func optionalDays(days float64) *float64 {
	if days == 0 {
		return nil
	}
	days = rounded(days)
	return &days
}

// fileResponse is a file with its copies.
type fileResponse struct {
	FileHash string         `json:"file_hash"`
	Size     int64          `json:"size"`
	Copies   []copyResponse `json:"copies"`
}

type copyResponse struct {
	Farmer *string         `json:"farmer"` // nil if the copy waits in the inventory
	State  store.CopyState `json:"state"`
	Since  *int64          `json:"since"` // Unix seconds; nil if it is not recorded
}

// statusFile handles GET /status/file/{file_hash}.
func (s *Server) statusFile(r *http.Request) (response fileResponse, err error) {
	hash, ok := node.ParseFileHash(mux.Vars(r)["file_hash"])
	if !ok {
		return response, badRequest("file_hash must be 64 hexadecimal digits")
	}
	size, copies, err := s.Store.FileCopies(r.Context(), hash)
	if errors.Is(err, store.ErrNotFound) {
		err = errUnknownFile
	}
	response = fileResponse{hash.String(), size, make([]copyResponse, len(copies))}
	for i, c := range copies {
		response.Copies[i] = copyResponse{State: c.State, Since: optionalSeconds(c.Since)}
		if c.Farmer != "" {
			response.Copies[i].Farmer = &c.Farmer
		}
	}
	return response, err
}
