package apiserver

import (
	"net/http"
	"strings"

	"github.com/gorilla/mux"

	"github.com/driveshare/downstream-node/apiserver/openapi"
	"github.com/driveshare/downstream-node/apiserver/page"
)

// prefixes are where every route exists; farmers in the field call v1.
var prefixes = []string{"/api/downstream/v1", "/api/downstream"}

// router is the whole of what a farmer can ask, the busiest routes first.
func (s *Server) router() http.Handler {
	root := mux.NewRouter()
	root.Use(rememberRoute)
	for _, prefix := range prefixes {
		r := root.PathPrefix(prefix).Subrouter()
		allowed := make(map[string][]string) // methods by path
		route := func(method, path string, h handlerFunc) {
			methods := []string{method}
			if method == http.MethodGet {
				methods = getMethods()
			}
			r.Handle(path, s.handle(h)).Methods(methods...)
			allowed[path] = append(allowed[path], methods...)
		}
		route("POST", "/answer/{token}/{file_hash}", s.answer)
		route("POST", "/answer/{token}", s.answers)
		route("GET", "/challenge/{token}/{file_hash}", s.challenge)
		route("GET", "/challenge/{token}", s.challenges)
		route("POST", "/challenge/{token}", s.challengesFor)
		route("GET", "/chunk/{token}", s.chunks)
		route("GET", "/chunk/{token}/{size}", s.chunks)
		route("GET", "/new/{address}", s.newToken)
		route("POST", "/new/{address}", s.newTokenSigned)
		route("GET", "/heartbeat/{token}", s.heartbeat)
		route("GET", "/status/show/{id}", s.statusShow)
		route("GET", "/status/summary", s.statusSummary)
		route("GET", "/status/map", s.statusMap)
		route("GET", "/status/show/{id}/history", s.farmerDays)
		route("GET", "/status/history", s.statusHistory)
		for _, path := range statusListPaths() {
			route("GET", path, s.statusList)
		}
		route("GET", "/openapi.json", describe("application/json", openapi.JSON))
		route("GET", "/openapi.yaml", describe("application/yaml", openapi.YAML))
		route("GET", "", s.index)
		// mux has a handler for this, but forgets that a path matched when it
		// tries the next route.
		for path, methods := range allowed {
			r.Handle(path, s.handle(methodNotAllowed(methods)))
		}
	}
	for _, path := range page.Paths {
		root.Handle(path, s.handle(s.showPage)).Methods(getMethods()...)
		root.Handle(path, s.handle(methodNotAllowed(getMethods())))
	}
	root.NotFoundHandler = s.handle(s.noRoute)
	return root
}

// noRoute answers programs as the protocol says, and people with a page.
func (s *Server) noRoute(w http.ResponseWriter, r *http.Request) error {
	if isPage(r) {
		return s.showPage(w, r)
	}
	return notFound("no such route")
}

// isPage says whether a request is not a farmer's, but of somebody who looks.
func isPage(r *http.Request) bool {
	return !strings.HasPrefix(r.URL.Path, "/api/") && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}

// methodNotAllowed answers any method but these.
func methodNotAllowed(methods []string) handlerFunc {
	allow := strings.Join(methods, ", ")
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Allow", allow)
		return &apiError{status: http.StatusMethodNotAllowed, message: "method not allowed"}
	}
}

// getMethods are the methods of every route that knows GET: the server leaves
// the body out where it was asked for the head alone. Every list is a new one:
// mux writes to what it is given.
func getMethods() []string { return []string{http.MethodGet, http.MethodHead} }

// onlyHead answers HEAD where GET would make or hand out something. Without
// the body, nobody would have it.
func onlyHead(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodHead {
		return false
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	return true
}

// statusListPaths are the forms of /status/list: online, order and page may
// each be left out.
func statusListPaths() []string {
	var paths []string
	for _, online := range []string{"/{online:online}", ""} {
		for _, by := range []string{"/by/{desc:d}/{sort}", "/by/{sort}", ""} {
			for _, page := range []string{"", "/{limit}", "/{limit}/{page}"} {
				paths = append(paths, "/status/list"+online+by+page)
			}
		}
	}
	return paths
}

func (s *Server) index(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, map[string]string{"msg": "ok"})
	return nil
}

// describe answers with the description of the API.
func describe(contentType string, text func() []byte) handlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", contentType)
		w.Write(text()) // a peer that went away needs no answer
		return nil
	}
}
