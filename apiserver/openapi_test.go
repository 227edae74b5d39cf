package apiserver_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/driveshare/downstream-node/apiserver/openapi"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

// description finds what the description of the API has on a request.
var description = sync.OnceValues(func() (routers.Router, error) {
	doc, err := openapi3.NewLoader().LoadFromData(openapi.JSON())
	if err != nil {
		return nil, err
	}
	return gorillamux.NewRouter(doc)
})

// described holds a request and its answer against the description: whatever
// was answered must be an answer described, and what was done must be a
// request described.
func described(t testing.TB, method, path string, body any, got answer) {
	t.Helper()
	router, err := description()
	must(t, err)
	route, query, _ := strings.Cut(path, "?")
	route = strings.TrimSuffix(route, "/")
	if strings.HasSuffix(route, "/api/downstream") || strings.HasSuffix(route, "/v1") {
		route += "/" // in a description, a path is never empty
	}
	req := httptest.NewRequest(method, route+"?"+query, plain(t, body))
	req.Header.Set("Content-Type", "application/json") // which nobody has to say
	matched, vars, err := router.FindRoute(req)
	switch {
	case errors.Is(err, routers.ErrPathNotFound), errors.Is(err, routers.ErrMethodNotAllowed):
		undescribed(t, method, path, got)
		return
	case err != nil:
		t.Errorf("%s %s: %v", method, path, err)
		return
	}
	options := &openapi3filter.Options{IncludeResponseStatus: true}
	input := &openapi3filter.RequestValidationInput{Request: req, PathParams: vars, Route: matched, Options: options}
	if got.status < 300 {
		if err := openapi3filter.ValidateRequest(t.Context(), input); err != nil {
			t.Errorf("%s %s is answered, and not described: %v", method, path, err)
		}
	}
	err = openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: got.status, Header: got.header,
		Body: io.NopCloser(strings.NewReader(got.body)), Options: options,
	})
	if err != nil {
		t.Errorf("%s %s: the answer is not as described: %v", method, path, err)
	}
}

// plain is the body as the description has it: not compressed.
func plain(t testing.TB, body any) io.Reader {
	t.Helper()
	if body == nil {
		return nil
	}
	text, err := io.ReadAll(reader(t, body))
	must(t, err)
	if unpacked, err := gzip.NewReader(bytes.NewReader(text)); err == nil {
		return unpacked
	}
	return bytes.NewReader(text)
}

// The node describes itself.
func TestDescriptionIsServed(t *testing.T) {
	t.Parallel()
	h := openHarness(t, testnode.Embedded, unattended)
	for _, form := range forms {
		for path, want := range map[string]struct {
			contentType string
			text        []byte
		}{
			"/openapi.json": {"application/json", openapi.JSON()},
			"/openapi.yaml": {"application/yaml", openapi.YAML()},
		} {
			got := h.ask(t, "GET", form.prefix+path+form.slash, nil)
			if got.status != 200 || got.header.Get("Content-Type") != want.contentType || got.body != string(want.text) {
				t.Errorf("%s: %d %s, %d bytes", form.prefix+path, got.status, got.header.Get("Content-Type"), len(got.body))
			}
		}
	}
}

// undescribed is for requests that no route is for: their answers are errors
// like any other.
func undescribed(t testing.TB, method, path string, got answer) {
	t.Helper()
	var body map[string]string
	err := json.Unmarshal([]byte(got.body), &body)
	if got.status < 400 || err != nil || body["status"] != "error" || body["message"] == "" {
		t.Errorf("%s %s is not described, and its answer no error: %d %s", method, path, got.status, got.body)
	}
}
