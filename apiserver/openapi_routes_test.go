package apiserver

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gorilla/mux"

	"github.com/driveshare/downstream-node/apiserver/openapi"
)

// literal is a variable of a route that stands for one word.
var literal = regexp.MustCompile(`\{[a-z]+:([a-z]+)\}`)

// Every route is described, and what is described is a route. HEAD comes with
// every GET, as HTTP has it, and is not described.
func TestRoutesAreDescribed(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.JSON())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var described []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+strings.TrimSuffix(path, "/"))
		}
	}
	slices.Sort(described)
	if len(doc.Servers) != len(prefixes) {
		t.Errorf("%d servers, want %d", len(doc.Servers), len(prefixes))
	}
	for i, prefix := range prefixes {
		if doc.Servers[i].URL != prefix {
			t.Errorf("server %s, want %s", doc.Servers[i].URL, prefix)
		}
		routes := routesUnder(t, prefix)
		for _, route := range routes {
			if _, ok := slices.BinarySearch(described, route); !ok {
				t.Errorf("%s is not described", route)
			}
		}
		for _, route := range described {
			if _, ok := slices.BinarySearch(routes, route); !ok {
				t.Errorf("%s is described, and no route under %s", route, prefix)
			}
		}
	}
}

// routesUnder lists the routes of the server, as "GET /path".
func routesUnder(t *testing.T, prefix string) []string {
	var routes []string
	err := new(Server).router().(*mux.Router).Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		methods, err := route.GetMethods()
		if err != nil {
			return nil // what answers the other methods
		}
		template, err := route.GetPathTemplate()
		path, ok := strings.CutPrefix(template, prefix)
		if err != nil || !ok || prefix == prefixes[1] && strings.HasPrefix(template, prefixes[0]) {
			return err
		}
		for _, method := range methods {
			if method == http.MethodHead {
				continue
			}
			routes = append(routes, method+" "+literal.ReplaceAllString(path, "$1"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(routes)
	return routes
}
