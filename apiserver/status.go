package apiserver

import (
	"errors"
	"iter"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/roster"
	"github.com/driveshare/downstream-node/internal/store"
)

// farmerResponse is the public data of a farmer.
type farmerResponse struct {
	ID         string     `json:"id"`
	Address    string     `json:"address"`
	Location   location   `json:"location"`
	Uptime     percent    `json:"uptime"`
	Heartbeats int64      `json:"heartbeats"`
	Contracts  int64      `json:"contracts"`
	Size       int64      `json:"size"`
	Online     bool       `json:"online"`
	IPHash     string     `json:"ip_hash"`
	LastDue    *time.Time `json:"last_due"`
	rating

	// Only for one farmer. Detection is nil if the farmer has no contract.
	Uptimes   *uptimes     `json:"uptimes,omitempty"`
	Detection *probability `json:"detection,omitempty"`
}

// location is node.Location in JSON. Each member is nil if it is unknown. The object
// is always present, because deployed dashboards read its members unchecked.
type location struct {
	Country *string  `json:"country"`
	State   *string  `json:"state"`
	City    *string  `json:"city"`
	Zip     *string  `json:"zip"`
	Lat     *float64 `json:"lat"`
	Lon     *float64 `json:"lon"`
}

// describeLocation returns the location in JSON. l is nil if nothing is known.
func describeLocation(l *node.Location) (response location) {
	if l == nil {
		return response
	}
	known := func(text *string) *string {
		if *text == "" {
			return nil
		}
		return text
	}
	response.Country, response.State, response.City, response.Zip = known(&l.Country), known(&l.State), known(&l.City), known(&l.Zip)
	if l.HasCoordinates() {
		response.Lat, response.Lon = &l.Lat, &l.Lon
	}
	return response
}

// percent is a percentage. In JSON it has two decimals.
type percent float64

func (p percent) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(p), 'f', 2, 64), nil
}

func (s *Server) describeFarmer(f node.Farmer, now time.Time) farmerResponse {
	return farmerResponse{
		ID:         f.ID,
		Address:    f.Address,
		Location:   describeLocation(f.Location),
		Uptime:     percent(f.Uptime.Percent(now)),
		Heartbeats: f.Heartbeats,
		Contracts:  f.Contracts,
		Size:       f.Size,
		Online:     f.Uptime.Online(now),
		IPHash:     node.IPHash(s.ipKey, f.IP),
		LastDue:    optionalTime(f.LastDue),
		rating:     s.rate(&f, now),
	}
}

// statusShow handles GET /status/show/{id}.
func (s *Server) statusShow(r *http.Request) (response farmerResponse, err error) {
	id, ok := node.ParseFarmerID(mux.Vars(r)["id"])
	if !ok {
		return response, errUnknownFarmer
	}
	at := node.StatedAt(s.Now(), s.Known())
	f, err := s.Store.Farmer(r.Context(), id, at)
	if err != nil {
		if errors.Is(err, store.ErrNotFound) {
			err = errUnknownFarmer
		}
		return response, err
	}
	days, err := s.Store.FarmerDays(r.Context(), id, at.AddDate(0, 0, -89), at)
	if errors.Is(err, store.ErrNotFound) {
		err = errUnknownFarmer
	}
	if err != nil {
		return response, err
	}
	response = s.describeFarmer(f, at)
	response.Uptimes = uptimesOf(days)
	response.Detection, err = s.detectionOf(r.Context(), id)
	return response, err
}

const (
	// farmersPage is the maximum number of farmers in a list that is held in memory
	// as a whole. The API streams longer lists.
	farmersPage = 1000
	// maxLongLists is the maximum number of longer lists in flight. Each of these
	// lists keeps its view in memory until the client has read the list. Views share
	// the records of the farmers, so a view takes about 30 bytes for each farmer.
	maxLongLists = 16
	// clientLongLists is the maximum number for one client, so that one client cannot
	// use up maxLongLists.
	clientLongLists = 2
)

var errLongLists = unavailable("too many long lists at once; ask for up to " + strconv.Itoa(farmersPage) + " farmers, or again later")

// statusList handles all forms of GET /status/list.
func (s *Server) statusList(w http.ResponseWriter, r *http.Request) error {
	query, err := parseListQuery(mux.Vars(r))
	if err != nil {
		return err
	}
	query.Search, query.Country = strings.TrimSpace(r.URL.Query().Get("search")), strings.TrimSpace(r.URL.Query().Get("country"))
	asCSV, err := wantsCSV(r)
	if err != nil {
		return err
	}
	view, err := s.roster.View(r.Context())
	if err != nil {
		return err
	}
	farmers, total := view.List(query.Query)
	w.Header().Set("X-Total-Count", strconv.Itoa(total))
	if query.none && !asCSV {
		return writeTagged(w, r, map[string][]farmerResponse{"farmers": {}})
	}
	count := total // at least the number of farmers on the page
	if query.none {
		farmers, count = func(func(node.Farmer) bool) {}, 0
	} else if query.Limit > 0 {
		count = min(total, query.Limit)
	}
	if r.Method == http.MethodHead && asCSV {
		w.Header().Set("Content-Type", "text/csv; charset=utf-8")
		allowChecked(w)
		w.WriteHeader(http.StatusOK)
		return nil
	}
	if r.Method == http.MethodHead {
		// The ETag is missing, because it needs the whole body.
		if count <= farmersPage {
			allowChecked(w)
		}
		writeRawJSON(w, http.StatusOK, nil)
		return nil
	}
	if count > farmersPage {
		client := exchangeOf(r).client
		if !s.load.beginLongList(client) {
			return errLongLists
		}
		defer s.load.endLongList(client)
	}
	if asCSV {
		return s.sendCSV(w, longListRate, farmerCSV, func(yield func([]string) bool) {
			farmers(func(f node.Farmer) bool { return yield(s.farmerRow(f, view.Time)) })
		})
	}
	if count > farmersPage {
		return s.streamFarmers(w, view.Time, farmers)
	}
	page := make([]farmerResponse, 0, count)
	for f := range farmers {
		page = append(page, s.describeFarmer(f, view.Time))
	}
	return writeTagged(w, r, map[string][]farmerResponse{"farmers": page})
}

// streamFarmers sends a list of any length without holding the list in memory.
func (s *Server) streamFarmers(w http.ResponseWriter, at time.Time, farmers iter.Seq[node.Farmer]) error {
	out := s.newPacedArray(w, "farmers", longListRate)
	for f := range farmers {
		if err := out.item(s.describeFarmer(f, at)); err != nil {
			return err
		}
	}
	return out.end()
}

// listQuery is the query of a list. If none is set, the request has the limit 0, which
// in a roster.Query means no limit.
type listQuery struct {
	roster.Query
	none bool
}

func parseListQuery(vars map[string]string) (listQuery, error) {
	q := listQuery{Query: roster.Query{Online: vars["online"] != "", Desc: vars["desc"] != ""}}
	sorts := strings.Join(node.FarmerSorts[:], ", ")
	if name, ok := vars["sort"]; ok {
		if q.Sort, ok = roster.ParseSort(name); !ok {
			return q, badRequest("sort must be one of " + sorts)
		}
	}
	if text, ok := vars["limit"]; ok {
		limit, ok := wholeNumber(text)
		switch {
		case text == "by":
			return q, badRequest("by must be followed by a sort, or by d and a sort; sort must be one of " + sorts)
		case !ok:
			return q, badRequest("limit must be a whole number")
		}
		q.Limit, q.none = int(min(limit, math.MaxInt)), limit == 0
	}
	if text, ok := vars["page"]; ok {
		page, ok := wholeNumber(text)
		if !ok {
			return q, badRequest("page must be a whole number, counted from 0")
		}
		q.Page = int(min(page, math.MaxInt))
	}
	return q, nil
}

// totals is node.Totals in JSON, for a moment or for a span of time.
type totals struct {
	Time       int64 `json:"time"` // the moment, or the start of the span; Unix seconds
	Farmers    int64 `json:"farmers"`
	Online     int64 `json:"online"`
	Contracts  int64 `json:"contracts"`
	Size       int64 `json:"size"`
	Heartbeats int64 `json:"heartbeats"`
	Wrong      int64 `json:"wrong"`
	Expired    int64 `json:"expired"`
}

func totalsAt(at time.Time, t node.Totals) totals {
	return totals{at.Unix(), t.Farmers, t.Online, t.Contracts, t.Size, t.Heartbeats, t.Wrong, t.Expired}
}

// statusSummary handles GET /status/summary.
func (s *Server) statusSummary(r *http.Request) (totals, error) {
	view, err := s.roster.View(r.Context())
	if err != nil {
		return totals{}, err
	}
	return totalsAt(view.Time, view.Summary()), nil
}

// place is node.Place in JSON.
type place struct {
	Lat     float64 `json:"lat"`
	Lon     float64 `json:"lon"`
	Country string  `json:"country"`
	City    string  `json:"city"`
	Farmers int64   `json:"farmers"`
	Online  int64   `json:"online"`
}

// statusMap handles GET /status/map.
func (s *Server) statusMap(r *http.Request) (map[string][]place, error) {
	view, err := s.roster.View(r.Context())
	if err != nil {
		return nil, err
	}
	places := []place{} // not nil, so that an empty list is encoded as []
	for _, p := range view.Places() {
		places = append(places, place(p))
	}
	return map[string][]place{"places": places}, nil
}
