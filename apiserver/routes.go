package apiserver

import (
	"net/http"
	"path"
	"strings"

	"github.com/gorilla/mux"

	"github.com/driveshare/downstream-node/apiserver/openapi"
	"github.com/driveshare/downstream-node/apiserver/page"
)

// prefixes are the prefixes of the API's paths. Every route exists under each
// prefix. Deployed farmers use v1.
var prefixes = []string{"/api/downstream/v1", "/api/downstream"}

// route is a route under each prefix. A GET route also serves HEAD.
type route struct {
	method, path string
	handler      handlerFunc
}

// creates reports whether the route creates or changes something.
func (r route) creates() bool {
	return r.method == http.MethodPost || strings.HasPrefix(r.path, "/new/") || strings.HasPrefix(r.path, "/chunk/")
}

// refuseCrossSite refuses a request that a browser sends for a page of another site.
// Otherwise a page could use up the limits of its visitors' IP addresses. Farmers do not
// send the header.
func refuseCrossSite(h handlerFunc) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
			return errCrossSite
		}
		return h(w, r)
	}
}

// routes lists the API's routes. The routes with the most requests come first.
func (s *Server) routes() []route {
	routes := []route{
		{"POST", "/answer/{token}/{file_hash}", s.withFarmer(s.answer)},
		{"POST", "/answer/{token}", s.withFarmer(s.answers)},
		{"GET", "/challenge/{token}/{file_hash}", s.withFarmer(s.challenge)},
		{"GET", "/challenge/{token}", s.withFarmer(s.challenges)},
		{"POST", "/challenge/{token}", s.withFarmer(s.challengesFor)},
		{"GET", "/chunk/{token}", s.chunks},
		{"GET", "/chunk/{token}/{size}", s.chunks},
		{"GET", "/new/{address}", s.newToken},
		{"POST", "/new/{address}", s.newTokenSigned},
		{"GET", "/heartbeat/{token}", respond(s.heartbeat)},
		{"GET", "/status/show/{id}", respond(s.statusShow)},
		{"GET", "/status/summary", respondTagged(s.statusSummary)},
		{"GET", "/status/map", respondTagged(s.statusMap)},
		{"GET", "/status/faults", respondTagged(s.statusFaults)},
		{"GET", "/status/detection", respondTagged(s.statusDetection)},
		{"GET", "/status/keys", respondTagged(s.statusKeys)},
		{"GET", "/status/redundancy", respondTagged(s.statusRedundancy)},
		{"GET", "/status/file/{file_hash}", respondTagged(s.statusFile)},
		{"GET", "/status/show/{id}/history", respondTagged(s.farmerDays)},
		{"GET", "/status/show/{id}/events", respondTagged(s.farmerEvents)},
		{"GET", "/status/history", s.statusHistory},
	}
	// Each part of the path after /status/list is optional.
	for _, online := range []string{"/{online:online}", ""} {
		for _, by := range []string{"/by/{desc:d}/{sort}", "/by/{sort}", ""} {
			for _, page := range []string{"", "/{limit}", "/{limit}/{page}"} {
				routes = append(routes, route{"GET", "/status/list" + online + by + page, s.statusList})
			}
		}
	}
	return append(routes,
		route{"GET", "/openapi.json", describe("application/json", openapi.JSON)},
		route{"GET", "/openapi.yaml", describe("application/yaml", openapi.YAML)},
		route{"GET", "", respond(index)},
	)
}

// router finds the handler of a request.
func (s *Server) router() http.Handler {
	root := mux.NewRouter().SkipClean(true) // otherwise mux redirects, and a POST becomes a GET
	root.Use(rememberRoute)
	for _, prefix := range prefixes {
		r := root.PathPrefix(prefix).Subrouter()
		allowed := make(map[string][]string) // methods by path
		for _, route := range s.routes() {
			methods := []string{route.method}
			if route.method == http.MethodGet {
				methods = getMethods()
			}
			handler := route.handler
			if route.creates() {
				handler = refuseCrossSite(handler)
			}
			handled := s.handle(handler)
			if strings.Contains(route.path, "{token}") || strings.HasPrefix(route.path, "/new/") {
				handled = noStore(handled)
			}
			r.Handle(route.path, handled).Methods(methods...)
			allowed[route.path] = append(allowed[route.path], methods...)
		}
		// Each path gets its own handler for the other methods. mux has a
		// MethodNotAllowedHandler, but does not call it if another route follows the
		// route whose path matched.
		for path, methods := range allowed {
			r.Handle(path, s.handle(methodNotAllowed(methods)))
		}
	}
	for _, path := range page.Paths() {
		root.Handle(path, s.handle(s.showPage)).Methods(getMethods()...)
		root.Handle(path, s.handle(methodNotAllowed(getMethods())))
	}
	root.NotFoundHandler = s.handle(s.noRoute)
	return root
}

// cleanPath makes the path of a request canonical: it removes repeated and trailing
// slashes, and the elements "." and "..". It refuses an encoded slash, because a proxy
// and the router may disagree about whether the slash separates two elements.
func (s *Server) cleanPath(next http.Handler) http.Handler {
	noRoute := s.limitAddress(s.handle(s.noRoute))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(strings.ToLower(r.URL.RawPath), "%2f") {
			noRoute.ServeHTTP(w, r)
			return
		}
		if clean := path.Clean("/" + r.URL.Path); clean != r.URL.Path {
			cleaned := r.Clone(r.Context())
			cleaned.URL.Path, cleaned.URL.RawPath = clean, ""
			r = cleaned
		}
		next.ServeHTTP(w, r)
	})
}

// noStore forbids clients and proxies to store the response, because its path or its
// body contains a token.
func noStore(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// getMethods returns the methods of a GET route. It returns a new list each time,
// because mux changes the list.
func getMethods() []string { return []string{http.MethodGet, http.MethodHead} }

// noRoute responds to a request that matches no route. Under /api/ it returns the
// protocol's error, otherwise a page.
func (s *Server) noRoute(w http.ResponseWriter, r *http.Request) error {
	if isPage(r) {
		return s.showPage(w, r)
	}
	return notFound("no such route")
}

// isPage reports whether a request is for a page: a GET or HEAD outside /api/.
func isPage(r *http.Request) bool {
	return !strings.HasPrefix(r.URL.Path, "/api/") && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}

func (s *Server) showPage(w http.ResponseWriter, r *http.Request) error {
	s.page.ServeHTTP(w, r)
	return nil
}

// methodNotAllowed responds to a request whose method is not in methods.
func methodNotAllowed(methods []string) handlerFunc {
	allow := strings.Join(methods, ", ")
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Allow", allow)
		return &apiError{status: http.StatusMethodNotAllowed, message: "method not allowed"}
	}
}

func index(*http.Request) (map[string]string, error) {
	return map[string]string{"msg": "ok"}, nil
}

// describe responds with text, which is the API's OpenAPI description.
func describe(contentType string, text func() []byte) handlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", contentType)
		w.Write(text())
		return nil
	}
}
