package apiserver

import (
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

// historyAnswer is how the node did, span by span.
type historyAnswer struct {
	From   int64      `json:"from"`
	To     int64      `json:"to"`
	Step   string     `json:"step"`
	Points []totalsAt `json:"points"` // each at its span's start
}

// statusHistory answers GET /status/history.
func (s *Server) statusHistory(w http.ResponseWriter, r *http.Request) error {
	now := s.now()
	q, err := historyQuery(r.URL.Query(), now)
	if err != nil {
		return err
	}
	spans, err := s.recent.get(r.Context(), q, now, s.store)
	if err != nil {
		return err
	}
	answer := historyAnswer{From: q.from.Unix(), To: q.to.Unix(), Step: q.name, Points: make([]totalsAt, len(spans))}
	for i, p := range spans {
		answer.Points[i] = totalsAt{p.Start.Unix(), totals(p.Totals)}
	}
	return writeSnapshot(w, r, answer)
}

const (
	// maxPoints bounds one answer: two days of minutes, and then some.
	maxPoints = 3000
	// usualSpans are asked for where the request does not say from when.
	usualSpans = 48
)

// history is a request for one.
type history struct {
	from, to time.Time // of the first span and of the last, both included
	name     string
	step     time.Duration
}

var steps = map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}

// historyQuery reads the parameters. The spans are those that hold from and to
// and all between; there are none after now.
func historyQuery(values url.Values, now time.Time) (history, error) {
	h := history{name: values.Get("step"), to: now}
	if h.name == "" {
		h.name = "hour"
	}
	var err error
	if h.step = steps[h.name]; h.step == 0 {
		return h, badRequest("step must be one of minute, hour, day")
	}
	if h.to, err = moment(values, "to", now); err != nil {
		return h, err
	}
	if h.to.After(now) {
		h.to = now
	}
	h.to = h.to.Truncate(h.step)
	if h.from, err = moment(values, "from", h.to.Add(-(usualSpans-1)*h.step)); err != nil {
		return h, err
	}
	h.from = h.from.Truncate(h.step)
	if h.from.After(h.to) {
		return h, badRequest("from must not be after to, nor after now")
	}
	if n := int64(h.to.Sub(h.from)/h.step) + 1; n > maxPoints {
		return h, badRequest(fmt.Sprintf("from, to and step ask for %d points, at most %d are given; ask for less time, or a longer step", n, maxPoints))
	}
	return h, nil
}

// moment reads a parameter that is a time.
func moment(values url.Values, name string, otherwise time.Time) (time.Time, error) {
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

// farmerHistory is a farmer's days.
type farmerHistory struct {
	ID   string      `json:"id"`
	Days []dayAnswer `json:"days"`
}

type dayAnswer struct {
	Date       string  `json:"date"`
	Uptime     percent `json:"uptime"`
	Heartbeats int64   `json:"heartbeats"`
	Wrong      int64   `json:"wrong"`
	Contracts  int64   `json:"contracts"`
	Size       int64   `json:"size"`
}

// shownDays is how many of a farmer's days are told at most.
const shownDays = 400

// farmerDays answers GET /status/show/{id}/history.
func (s *Server) farmerDays(w http.ResponseWriter, r *http.Request) error {
	id, ok := node.ParseFarmerID(mux.Vars(r)["id"])
	if !ok {
		return notFound("farmer not found")
	}
	now := s.now()
	days, err := s.store.FarmerDays(r.Context(), id, now.AddDate(0, 0, 1-shownDays), now)
	if errors.Is(err, store.ErrNotFound) {
		return notFound("farmer not found")
	}
	if err != nil {
		return err
	}
	answer := farmerHistory{ID: id, Days: make([]dayAnswer, len(days))}
	for i, d := range days {
		answer.Days[i] = dayAnswer{
			Date: d.Start.Format(time.DateOnly), Uptime: percent(d.Uptime()), Heartbeats: d.Heartbeats, Wrong: d.Wrong,
			Contracts: d.Contracts, Size: d.Size,
		}
	}
	return writeSnapshot(w, r, answer)
}
