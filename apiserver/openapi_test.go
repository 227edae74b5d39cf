package apiserver_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/driveshare/downstream-node/apiserver/openapi"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

// checker is the running program hack/openapi. The program checks requests and
// responses against the OpenAPI description.
type checker struct {
	mu       sync.Mutex
	pairs    io.Writer
	problems *bufio.Reader
}

// startChecker starts the program once. The program ends when the test process ends,
// because its input is then closed.
var startChecker = sync.OnceValues(func() (*checker, error) {
	cmd := exec.Command("go", "-C", "../hack", "run", "./openapi")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &checker{pairs: in, problems: bufio.NewReader(out)}, cmd.Start()
})

func (c *checker) check(req *http.Request, resp *http.Response) (problem string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := errors.Join(req.Write(c.pairs), resp.Write(c.pairs)); err != nil {
		return "", err
	}
	line, err := c.problems.ReadString('\n')
	if err != nil {
		return "", err
	}
	return strconv.Unquote(strings.TrimSuffix(line, "\n"))
}

// checkDescribed checks a request and its response against the OpenAPI description. Every
// response must match the description. A request must match it only if the node
// accepts the request.
func checkDescribed(t testing.TB, method, path string, body any, got response) {
	t.Helper()
	c, err := startChecker()
	must(t, err)
	route, query, _ := strings.Cut(path, "?")
	route = strings.TrimSuffix(route, "/")
	if strings.HasSuffix(route, "/api/downstream") || strings.HasSuffix(route, "/v1") {
		route += "/" // a path in the description cannot be empty
	}
	if got.status >= 300 {
		body = nil // the body of a refused request need not match the description
	}
	req := httptest.NewRequest(method, route+"?"+query, plain(t, body))
	// Clients may omit this header, but the description requires it.
	req.Header.Set("Content-Type", "application/json")
	problem, err := c.check(req, &http.Response{
		StatusCode: got.status, Header: got.header, ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Body: io.NopCloser(strings.NewReader(got.body)), ContentLength: int64(len(got.body)),
	})
	must(t, err)
	switch problem {
	case "":
	case "undescribed":
		checkUnrouted(t, method, path, got)
	default:
		t.Errorf("%s %s: %s", method, path, problem)
	}
}

// plain returns the uncompressed body, because the description does not describe
// compression.
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

func TestDescriptionIsServed(t *testing.T) {
	t.Parallel()
	h := openHarness(t, testnode.Embedded, withoutWorker)
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

// checkUnrouted checks the response to a request that matches no route. The response
// must be an error in the usual form.
func checkUnrouted(t testing.TB, method, path string, got response) {
	t.Helper()
	var body map[string]string
	err := json.Unmarshal([]byte(got.body), &body)
	if got.status < 400 || err != nil || body["status"] != "error" || body["message"] == "" {
		t.Errorf("%s %s is not described, but its response is not an error: %d %s", method, path, got.status, got.body)
	}
}
