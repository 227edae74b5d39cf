package apiserver

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/driveshare/downstream-node/apiserver/openapi"
)

// methods are the HTTP methods that an OpenAPI description can contain.
var methods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodHead, http.MethodOptions, http.MethodTrace}

// literal matches a path variable that can have only one value, such as
// {online:online}.
var literal = regexp.MustCompile(`\{[a-z]+:([a-z]+)\}`)

// TestRoutesAreDescribed compares the routes of the server with the operations of
// the OpenAPI description. It ignores HEAD: every GET route also serves HEAD, but the
// description does not contain HEAD.
func TestRoutesAreDescribed(t *testing.T) {
	t.Parallel()
	var doc struct {
		Servers []struct{ URL string }
		Paths   map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(openapi.JSON(), &doc); err != nil {
		t.Fatal(err)
	}
	var described []string
	for path, item := range doc.Paths {
		for key := range item {
			if method := strings.ToUpper(key); slices.Contains(methods, method) {
				described = append(described, method+" "+strings.TrimSuffix(path, "/"))
			}
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
				t.Errorf("%s is described, but is not a route under %s", route, prefix)
			}
		}
	}
}

// routesUnder returns the routes of the server under a prefix, as "GET /path".
func routesUnder(t *testing.T, prefix string) []string {
	var routes []string
	err := new(Server).router().(*mux.Router).Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		methods, err := route.GetMethods()
		if err != nil {
			return nil // the handler methodNotAllowed, which has no methods
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
