package page

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	// pageLength is how many farmers are on a page of the table.
	pageLength = 50
	// lastPage bounds what a visitor can make the database skip.
	lastPage = 1_000_000
	// searchLength is above that of any id or address.
	searchLength = 64

	defaultSort = "size"
)

// sorts are what the table can be ordered by: the API's.
var sorts = []string{"id", "address", "uptime", "heartbeats", "contracts", "size", "online"}

// view is what the address of the front page asks for. Whatever in it makes no
// sense is as if it were not there, so that every link shows something.
type view struct {
	Query
	Period string // of the plots
}

func parseView(v url.Values) view {
	q := view{Query: Query{Sort: v.Get("sort"), Limit: pageLength}, Period: v.Get("period")}
	if !slices.Contains(sorts, q.Sort) {
		q.Sort = defaultSort
	}
	q.Desc = descendsFirst(q.Sort)
	if dir := v.Get("dir"); dir == "asc" || dir == "desc" {
		q.Desc = dir == "desc"
	}
	q.Online = v.Get("online") == "1"
	q.Search = v.Get("q")
	q.Search = strings.TrimSpace(q.Search[:min(len(q.Search), searchLength)])
	if n, err := strconv.Atoi(v.Get("page")); err == nil && n > 1 {
		q.Page = min(n, lastPage) - 1
	}
	if periodNamed(q.Period) == nil {
		q.Period = periods[0].Name
	}
	return q
}

// descendsFirst says in which direction people want to see a column first:
// names from their beginning, figures from the greatest.
func descendsFirst(sort string) bool { return sort != "id" && sort != "address" }

// link is the address of the front page with this view, as short as can be.
func (v view) link() string {
	q := url.Values{}
	if v.Sort != defaultSort {
		q.Set("sort", v.Sort)
	}
	if v.Desc != descendsFirst(v.Sort) {
		q.Set("dir", direction(v.Desc))
	}
	if v.Online {
		q.Set("online", "1")
	}
	if v.Search != "" {
		q.Set("q", v.Search)
	}
	if v.Page > 0 {
		q.Set("page", strconv.Itoa(v.Page+1))
	}
	if v.Period != periods[0].Name {
		q.Set("period", v.Period)
	}
	if len(q) == 0 {
		return "/"
	}
	return "/?" + q.Encode()
}

func direction(desc bool) string {
	if desc {
		return "desc"
	}
	return "asc"
}

// sortedBy is the view that a click on a column's head leads to.
func (v view) sortedBy(sort string) view {
	if v.Sort == sort {
		v.Desc = !v.Desc
	} else {
		v.Sort, v.Desc = sort, descendsFirst(sort)
	}
	v.Page = 0
	return v
}

func (v view) onPage(n int) view { v.Page = n; return v }

func (v view) over(name string) view { v.Period = name; return v }
