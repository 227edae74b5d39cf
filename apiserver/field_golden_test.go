package apiserver_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/store"
)

// TestFieldGolden sends the requests in testdata/field and compares the responses. The
// files are written by hand from PROTOCOL.md, so unlike the files of TestGolden they
// say what deployed farmers and dashboards expect, not what this node does. A line is a
// request (>), its response (<), a step of the test (@), or a comment (#). A text in
// angle brackets in a response is the name of a pattern.
func TestFieldGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/field/*.txt")
	must(t, err)
	if len(files) < 8 {
		t.Fatalf("only %d files", len(files))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			onEach(t, defaultPlan, func(t *testing.T, h *harness) { newFieldScript(t, h).run(t, file) })
		})
	}
}

// fieldScript is a node with a farmer. The farmer has the contracts right, wrong and
// late, and all of them await their first proof.
type fieldScript struct {
	h         *harness
	f         *farmer
	replicas  map[string]*replica
	replica   *replica
	ip        string
	contracts map[string]contract
	texts     map[string]string
}

func newFieldScript(t *testing.T, h *harness) *fieldScript {
	t.Helper()
	f := h.newFarmer(t, 1)
	owner, body := signed(t, "mine")
	var proof struct{ Signature string }
	must(t, json.Unmarshal([]byte(body), &proof))
	s := &fieldScript{h: h, f: f, ip: f.ip, replica: h.replica, contracts: map[string]contract{}, texts: map[string]string{
		"token": f.token.Hex(), "id": f.token.Hash().FarmerID(), "address": address, "owner": owner, "signature": proof.Signature,
		"unknown token": strings.Repeat("f", 32), "unknown id": strings.Repeat("0", 20), "unknown hash": strings.Repeat("0", 64),
	}}
	s.replicas = map[string]*replica{
		"first":     h.replica,
		"second":    h.open(t, func(*app.Config) {}),
		"strict":    h.open(t, func(c *app.Config) { c.Access.Signatures = true }),
		"whitelist": h.open(t, func(c *app.Config) { c.Access.Whitelist = true }),
	}
	for _, name := range []string{"right", "wrong", "late"} {
		s.contracts[name] = f.takeOne(t, name)
		s.texts["hash "+name] = s.contracts[name].FileHash
	}
	return s
}

func (s *fieldScript) run(t *testing.T, file string) {
	t.Helper()
	script, err := os.ReadFile(file)
	must(t, err)
	var got response
	for i, line := range strings.Split(string(script), "\n") {
		kind, rest, _ := strings.Cut(line, " ")
		rest = s.fill(t, rest)
		switch kind {
		case "", "#":
		case "@":
			s.step(t, strings.Fields(rest))
		case ">":
			method, path, _ := strings.Cut(rest, " ")
			path, body, sent := strings.Cut(path, " ")
			if !strings.HasPrefix(path, "/api") {
				path = api + path
			}
			var content any
			if sent {
				content = body
			}
			got, err = s.replica.try(t, method, path, content, from, s.ip)
			must(t, err)
		case "<":
			if err := got.matches(rest); err != nil {
				t.Errorf("%s:%d: %v\n%d %s", file, i+1, err, got.status, got.body)
			}
		default:
			t.Fatalf("%s:%d: %q is not a line of a script", file, i+1, line)
		}
	}
}

var filled = regexp.MustCompile(`\$\{([^}]+)\}`)

// fill replaces ${name} with a text of the test, and ${proof name} with the proof for
// the current challenge of a contract.
func (s *fieldScript) fill(t *testing.T, line string) string {
	t.Helper()
	return filled.ReplaceAllStringFunc(line, func(name string) string {
		name = strings.Trim(name, "${}")
		if of, found := strings.CutPrefix(name, "proof "); found {
			return string(s.f.prove(t, s.contracts[of], nil))
		}
		text, ok := s.texts[name]
		if !ok {
			t.Fatalf("there is no %q", name)
		}
		return text
	})
}

func (s *fieldScript) step(t *testing.T, words []string) {
	t.Helper()
	switch words[0] {
	case "wait":
		d, err := time.ParseDuration(words[1])
		must(t, err)
		s.h.Clock.Advance(d)
	case "replica":
		s.replica = s.replicas[words[1]]
	case "ip":
		s.ip = words[1]
	case "stock":
		size, err := strconv.ParseInt(words[1], 10, 64)
		must(t, err)
		s.h.stock(t, "chunk of "+words[1], size, heartbeat.EncodeOptions{Challenges: 1})
	case "next":
		c := s.contracts[words[1]]
		s.f.next(t, &c)
		s.contracts[words[1]] = c
	case "whitelist": // makes the whitelist equal to one address, with a low balance or without
		entry := store.Listed{Address: words[1], Balance: 5000, Low: len(words) > 2}
		_, err := s.h.Store.LoadWhitelist(t.Context(), []store.Listed{entry}, s.h.Clock.Now())
		must(t, err)
	case "delete":
		must(t, s.h.Store.DeleteToken(t.Context(), s.f.token.Hash().FarmerID(), s.h.Clock.Now()))
	default:
		t.Fatalf("there is no step %q", words)
	}
}

// matches compares the response with a status and a JSON document.
func (a response) matches(expected string) error {
	status, document, _ := strings.Cut(expected, " ")
	if strconv.Itoa(a.status) != status {
		return fmt.Errorf("the status is %d, want %s", a.status, status)
	}
	var want, got any
	if err := json.Unmarshal([]byte(document), &want); err != nil {
		return fmt.Errorf("the expected document: %w", err)
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		return err
	}
	if a.status >= 500 && a.header.Get("Retry-After") == "" {
		return errors.New("no Retry-After")
	}
	return matchJSON("response", want, got)
}

func matchText(pattern string) func(any) bool {
	expression := regexp.MustCompile("^(?:" + pattern + ")$")
	return func(v any) bool { text, ok := v.(string); return ok && expression.MatchString(text) }
}

func matchNumber(most float64) func(any) bool {
	return func(v any) bool { n, ok := v.(float64); return ok && n >= 0 && n <= most }
}

var patterns = map[string]func(any) bool{
	"<token>":   matchText("[0-9a-f]{32}"),
	"<hash>":    matchText("[0-9a-f]{64}"),
	"<ip hash>": matchText("[0-9a-f]{32}"),
	"<base64>":  matchText("[A-Za-z0-9+/]+=*"),
	"<text>":    matchText("(?s).+"),
	"<time>":    matchText(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`),
	"<percent>": matchNumber(100),
	"<seconds>": func(v any) bool { n, ok := v.(float64); return ok && n == float64(int(n)) && n >= 0 && n <= 300 },
	"<nodes>":   func(v any) bool { list, ok := v.([]any); return ok && len(list) > 0 },
}

// matchJSON compares two documents. An object may have more members than are wanted, because
// deployed clients ignore members that they do not know.
func matchJSON(at string, want, got any) error {
	if name, ok := want.(string); ok && patterns[name] != nil {
		if !patterns[name](got) {
			return fmt.Errorf("%s is %v, want %s", at, got, name)
		}
		return nil
	}
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%s is %v, want the members of %v", at, got, want)
		}
		for name, value := range want {
			member, ok := object[name]
			if !ok {
				return fmt.Errorf("%s has no member %q", at, name)
			}
			if err := matchJSON(at+"."+name, value, member); err != nil {
				return err
			}
		}
		return nil
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return fmt.Errorf("%s is %v, want %d items", at, got, len(want))
		}
		for i := range want {
			if err := matchJSON(fmt.Sprintf("%s[%d]", at, i), want[i], list[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if !reflect.DeepEqual(want, got) {
		return fmt.Errorf("%s is %v, want %v", at, got, want)
	}
	return nil
}
