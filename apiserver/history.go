package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gorilla/mux"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

const (
	// maxPoints is the maximum number of points in a history: a little more than two
	// days of minutes.
	maxPoints = 3000
	// defaultPoints is the number of points if the request has no from.
	defaultPoints = 48
	// historyLife is how long a history is cached. The cache helps, because many
	// visitors request the same history, and a history is expensive to read.
	historyLife  = 5 * time.Second
	maxHistories = 64
	// maxDays is the maximum number of days in a farmer's history.
	maxDays = 400
)

// historyResponse is the node's totals for each span of time.
type historyResponse struct {
	From   int64    `json:"from"`
	To     int64    `json:"to"`
	Step   string   `json:"step"`
	Points []totals `json:"points"` // the time of a point is the start of its span
}

// statusHistory handles GET /status/history.
func (s *Server) statusHistory(w http.ResponseWriter, r *http.Request) error {
	now := s.Now()
	q, err := parseHistory(r.URL.Query(), now)
	if err != nil {
		return err
	}
	asCSV, err := wantsCSV(r)
	if err != nil {
		return err
	}
	spans, err := s.readHistory(r.Context(), q, now)
	if err != nil {
		return err
	}
	if asCSV {
		return s.sendCSV(w, readRate, historyCSV, historyRows(spans))
	}
	response := historyResponse{From: q.from.Unix(), To: q.to.Unix(), Step: q.name, Points: make([]totals, len(spans))}
	for i, p := range spans {
		response.Points[i] = totalsAt(p.Start, p.Totals)
	}
	return writeTagged(w, r, response)
}

// readHistory returns the spans of a query from a cache or from the store.
func (s *Server) readHistory(ctx context.Context, q historyQuery, now time.Time) ([]node.Span, error) {
	cached := &s.histories
	if q.chosen {
		cached = &s.ranges
	}
	return cached.read(ctx, q, now, func(ctx context.Context) ([]node.Span, error) {
		return s.Store.History(ctx, q.from, q.to, q.step)
	})
}

// historyQuery selects spans of time. The first span begins at from, and the last
// span begins at to.
type historyQuery struct {
	from, to time.Time
	name     string // the step's name
	step     time.Duration
	// chosen is set if the client chose from or to. There are many such queries. They
	// have their own cache, so that they do not evict the queries of all visitors.
	chosen bool
}

var steps = map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}

// parseHistory parses the parameters of a history. If to is after now, it uses now
// instead.
func parseHistory(values url.Values, now time.Time) (historyQuery, error) {
	q := historyQuery{name: values.Get("step"), chosen: values.Get("from")+values.Get("to") != ""}
	if q.name == "" {
		q.name = "hour"
	}
	var err error
	if q.step = steps[q.name]; q.step == 0 {
		return q, badRequest("step must be one of minute, hour, day")
	}
	if q.to, err = parseTime(values, "to", now); err != nil {
		return q, err
	}
	if q.to.After(now) {
		q.to = now
	}
	q.to = q.to.Truncate(q.step)
	if q.from, err = parseTime(values, "from", q.to.Add(-(defaultPoints-1)*q.step)); err != nil {
		return q, err
	}
	q.from = q.from.Truncate(q.step)
	if q.from.After(q.to) {
		return q, badRequest("from must not be after to, nor after now")
	}
	if n := int64(q.to.Sub(q.from)/q.step) + 1; n > maxPoints {
		return q, badRequest(fmt.Sprintf("from, to and step ask for %d points, at most %d are given; ask for less time, or a longer step", n, maxPoints))
	}
	return q, nil
}

// parseTime parses the parameter name as a time. If the parameter is missing, it
// returns otherwise.
func parseTime(values url.Values, name string, otherwise time.Time) (time.Time, error) {
	text := values.Get(name)
	if text == "" {
		return otherwise, nil
	}
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil && seconds >= 0 && seconds < 1<<40 {
		return time.Unix(seconds, 0).UTC(), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Unix() < 0 {
		return time.Time{}, badRequest(name + " must be seconds since 1970, or a time like 2006-01-02T15:04:05Z")
	}
	return t.UTC(), nil
}

// daysResponse is a farmer's history by day.
type daysResponse struct {
	ID   string        `json:"id"`
	Days []dayResponse `json:"days"`
}

type dayResponse struct {
	Date       string  `json:"date"`
	Uptime     percent `json:"uptime"`
	Heartbeats int64   `json:"heartbeats"`
	Wrong      int64   `json:"wrong"`
	Contracts  int64   `json:"contracts"`
	Size       int64   `json:"size"`
}

// farmerDays handles GET /status/show/{id}/history.
func (s *Server) farmerDays(r *http.Request) (response daysResponse, err error) {
	id, ok := node.ParseFarmerID(mux.Vars(r)["id"])
	if !ok {
		return response, errUnknownFarmer
	}
	now := s.Now()
	days, err := s.Store.FarmerDays(r.Context(), id, now.AddDate(0, 0, 1-maxDays), now)
	if errors.Is(err, store.ErrNotFound) {
		err = errUnknownFarmer
	}
	response = daysResponse{ID: id, Days: make([]dayResponse, len(days))}
	for i, d := range days {
		response.Days[i] = dayResponse{d.Start.Format(time.DateOnly), percent(d.Uptime()), d.Heartbeats, d.Wrong, d.Contracts, d.Size}
	}
	return response, err
}
