package apiserver_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

// forms are the equivalent ways to write the path of a route.
var forms = []struct{ name, prefix, slash string }{
	{"v1", "/api/downstream/v1", ""},
	{"v1 with slash", "/api/downstream/v1", "/"},
	{"plain", "/api/downstream", ""},
	{"plain with slash", "/api/downstream", "/"},
}

// goldenTest records requests and their responses as text. It runs on a new node for
// each backend and each form of the paths. The text must always equal the golden file.
type goldenTest struct {
	name   string
	change func(*plan)
	run    func(t *testing.T, s *transcript)
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, tt := range []goldenTest{
		{"index", withoutWorker, goldenIndex},
		{"new", withoutWorker, goldenNew},
		{"heartbeat", withoutWorker, goldenHeartbeat},
		{"chunk", withoutWorker, goldenChunk},
		{"challenge", withoutWorker, goldenChallenge},
		{"answer", lowLimits, goldenAnswer},
		{"answers", lowLimits, goldenAnswers},
		{"swizzle", func(p *plan) { lowLimits(p); p.schemes = []heartbeat.Type{heartbeat.Swizzle} }, goldenSwizzle},
		{"status", withoutWorker, goldenStatus},
		{"redundancy", func(p *plan) { withoutWorker(p); p.cfg.Inventory.Redundancy = 2 }, goldenRedundancy},
		{"history", withoutWorker, goldenHistory},
		{"busy", func(p *plan) { withoutWorker(p); p.cfg.Redis.Queue.MaxQueue = 1 }, goldenBusy},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, backend := range testnode.Backends {
				for i, form := range forms {
					t.Run(backend+" "+form.name, func(t *testing.T) {
						if *update && (backend != testnode.Embedded || i != 0) {
							return // only the first run writes the golden file
						}
						s := &transcript{harness: openHarness(t, backend, tt.change), prefix: form.prefix, slash: form.slash}
						tt.run(t, s)
						s.compare(t, filepath.Join("testdata", tt.name+".golden"))
					})
				}
			}
		})
	}
}

// lowLimits lowers the limits, so that short requests exceed them.
func lowLimits(p *plan) {
	p.cfg.API.MaxBody, p.cfg.API.MaxProofs = 4096, 6
}

// withoutWorker lowers the limits and starts no worker.
func withoutWorker(p *plan) {
	lowLimits(p)
	p.idle = true
}

// transcript records requests to a node and their responses as text.
type transcript struct {
	*harness
	prefix, slash string
	text          strings.Builder
	names         []string // random texts and their replacements, in turn
}

// comment adds a comment line to the recorded text.
func (s *transcript) comment(format string, args ...any) {
	fmt.Fprintf(&s.text, "# "+format+"\n", args...)
}

// hide replaces value with name in the recorded text, because value is random.
func (s *transcript) hide(value, name string) { s.names = append(s.names, value, name) }

// get sends a GET request to a replica and records it. path is the path after the
// prefix.
func (s *transcript) get(t *testing.T, r *replica, path string, header ...string) response {
	t.Helper()
	return s.request(t, r, "GET", path, nil, header...)
}

func (s *transcript) post(t *testing.T, r *replica, path string, body any, header ...string) response {
	t.Helper()
	return s.request(t, r, "POST", path, body, header...)
}

func (s *transcript) request(t *testing.T, r *replica, method, path string, body any, header ...string) response {
	t.Helper()
	route, query, asked := strings.Cut(path, "?")
	if asked {
		query = "?" + query
	}
	got := r.ask(t, method, s.prefix+route+s.slash+query, body, header...)
	fmt.Fprintf(&s.text, "%s %s%s\n", method, path, bodyText(body))
	fmt.Fprintf(&s.text, "%d", got.status)
	for _, name := range []string{"Content-Type", "Retry-After", "Location"} {
		if value := got.header.Get(name); value != "" {
			fmt.Fprintf(&s.text, " %s: %s", name, value)
		}
	}
	fmt.Fprintf(&s.text, "\n%s\n", got.body)
	if got.header.Get("X-Request-Id") == "" {
		t.Errorf("%s %s: no request id", method, path)
	}
	return got
}

// bodyText returns the text for a request's body in the recorded text. It abbreviates a
// long body.
func bodyText(body any) string {
	text, ok := body.(string)
	switch {
	case !ok:
		return ""
	case len(text) > 200:
		return fmt.Sprintf(" (a body of %d bytes)", len(text))
	}
	return " " + text
}

var ipHash = regexp.MustCompile(`"ip_hash":"[0-9a-f]{32}"`)

// compare compares the recorded text with the golden file. With -update, it writes the
// file instead.
func (s *transcript) compare(t *testing.T, path string) {
	t.Helper()
	got := strings.NewReplacer(s.names...).Replace(s.text.String())
	got = ipHash.ReplaceAllString(got, `"ip_hash":"(keyed)"`)
	if *update {
		must(t, os.WriteFile(path, []byte(got), 0o644))
		return
	}
	raw, err := os.ReadFile(path)
	must(t, err)
	want := string(raw)
	if got == want {
		return
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(gotLines), len(wantLines)) {
		if gotLines[i] != wantLines[i] {
			from := max(0, i-3)
			t.Fatalf("%s, line %d:\n%s\nwant\n%s", path, i+1,
				strings.Join(gotLines[from:i+1], "\n"), strings.Join(wantLines[from:i+1], "\n"))
		}
	}
	t.Fatalf("%s: %d lines, want %d", path, len(gotLines), len(wantLines))
}

func goldenIndex(t *testing.T, s *transcript) {
	s.get(t, s.replica, "")
	s.comment("paths that do not exist")
	s.get(t, s.replica, "/nothing")
	s.get(t, s.replica, "/status")
	s.get(t, s.replica, "/status/list/1/2/3")
	s.get(t, s.replica, "/answer/"+strings.Repeat("0", 32)+"/one/two")
	s.comment("routes that exist, with a wrong method")
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		s.request(t, s.replica, method, "", nil)
	}
	s.request(t, s.replica, http.MethodDelete, "/new/"+address, nil)
	s.get(t, s.replica, "/answer/"+strings.Repeat("0", 32))
	s.post(t, s.replica, "/chunk/"+strings.Repeat("0", 32), "{}")
	s.post(t, s.replica, "/status/list", "{}")
	s.post(t, s.replica, "/heartbeat/"+strings.Repeat("0", 32), "{}")
}
