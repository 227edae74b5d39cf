package page_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/apiserver/page"
	"github.com/driveshare/downstream-node/apiserver/page/pagetest"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/roster"
)

// fixture is a page, its records in memory, and a clock that the test sets.
type fixture struct {
	*pagetest.Records
	*page.Page
	mu  sync.Mutex
	now time.Time
}

func (h *fixture) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func open(t *testing.T, farmers int) *fixture {
	t.Helper()
	return openWith(t, farmers, page.Options{})
}

// openWith is open with options. It sets those that every page needs.
func openWith(t *testing.T, farmers int, opt page.Options) *fixture {
	t.Helper()
	h := &fixture{Records: pagetest.New(farmers), now: pagetest.Now}
	opt.Log, opt.GeoLite2 = slog.New(slog.DiscardHandler), func() bool { return farmers > 0 }
	opt.Now = func() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.now }
	if opt.Rules.Interval == 0 {
		opt.Rules = page.Rules{Interval: 5 * time.Minute, BytesPerAddress: 1 << 30}
	}
	h.Page = page.New(h.Records, opt)
	return h
}

// get requests a path. header is a list of names and values: name, value, name, value.
func (h *fixture) get(address string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://node.example:5000"+address, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func (h *fixture) body(t *testing.T, address string, status int) string {
	t.Helper()
	w := h.get(address)
	if w.Code != status {
		t.Errorf("%s: status %d, want %d", address, w.Code, status)
	}
	return w.Body.String()
}

func TestPages(t *testing.T) {
	t.Parallel()
	h := open(t, 321)
	farmers := h.List(roster.Query{Sort: roster.ByScore, Desc: true, Limit: 50})
	largest := h.List(roster.Query{Sort: roster.BySize, Desc: true, Limit: 1})
	for _, test := range []struct {
		address string
		status  int
		has     []string
	}{
		{"/", 200, []string{">321</dd>", farmers[0].ID, farmers[49].Address, "1–50 of 321", "GeoLite2 data created by MaxMind", "http://node.example:5000"}},
		{"/?sort=size", 200, []string{largest[0].ID, `aria-sort="descending"><a data-turn id="by-size"`}},
		{"/?page=7", 200, []string{"301–321 of 321", `aria-current="page">7<`}},
		{"/?page=70", 200, []string{"301–321 of 321"}}, // the last page
		{"/?page=99999999999999999999&sort=nothing&dir=up&period=2y", 200, []string{"1–50 of 321"}},
		{"/?q=" + farmers[3].ID[:12], 200, []string{"1–1 of 1", farmers[3].Address}},
		{"/?q=%3Cscript%3E", 200, []string{"No farmer matching “&lt;script&gt;”"}},
		{"/farmer/" + farmers[0].ID, 200, []string{farmers[0].Address, "90 days ago", "Right proofs in a day", "Wrong proofs in a day", "</dt><dd>in "}},
		{"/farmer/nobody", 404, []string{"No such farmer"}},
		{"/history?period=7d", 200, []string{"The last 7 days", `<th scope="row">`}},
		{"/nothing", 404, []string{"Page not found"}},
		{"/map.json?zoom=99", 404, nil},
		{"/assets/nothing.js", 404, nil},
	} {
		got := h.body(t, test.address, test.status)
		for _, want := range test.has {
			if !strings.Contains(got, want) {
				t.Errorf("%s does not contain %q", test.address, want)
			}
		}
	}
}

// The pages show the open fault of the node, and the earlier ones.
func TestFaults(t *testing.T) {
	t.Parallel()
	h := open(t, 30)
	farmer := "/farmer/" + h.List(roster.Query{})[0].ID
	const notice = "The node has had a fault since"
	for address, wants := range map[string][]string{
		"/":            {"<b>99.37 %</b>", "14 Mar 2026, 08:09 UTC", "9 min: no process could judge proofs</li>"},
		"/?period=30d": {"<b>99.74 %</b>", "100 min: no process could take proofs (31 contracts void)</li>"},
		farmer:         {"; the node had a fault for 9 min</title>", `<td class="figure">100 min</td>`},
	} {
		got := h.body(t, address, 200)
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("%s does not contain %q", address, want)
			}
		}
		if strings.Contains(got, notice) {
			t.Errorf("%s shows an open fault", address)
		}
	}
	h.SetFaults(node.Fault{Start: pagetest.Now.Add(-time.Minute), Evidence: "31 of 40 <proofs> failed"})
	h.pass(6 * time.Second)
	for _, address := range []string{"/", farmer} {
		if got := h.body(t, address, 200); !strings.Contains(got, notice) || !strings.Contains(got, "31 of 40 &lt;proofs&gt; failed. No contract expires") {
			t.Errorf("%s does not show the open fault", address)
		}
	}
	h.SetFaults(node.Fault{Start: pagetest.Now.Add(-time.Minute), Cause: node.Unreachable, Evidence: "no proof arrived"})
	h.pass(6 * time.Second)
	for _, address := range []string{"/", farmer} {
		if got := h.body(t, address, 200); strings.Contains(got, notice) || !strings.Contains(got, "The node may be out of reach since") {
			t.Errorf("%s does not show what the node suspects", address)
		}
	}
	if got := h.body(t, "/", 200); !strings.Contains(got, "The node had no fault in this time") {
		t.Error("the page counts a suspicion as a fault")
	}
	h.SetFaults()
	h.pass(6 * time.Second)
	if got := h.body(t, "/", 200); strings.Contains(got, notice) || !strings.Contains(got, "The node had no fault in this time") {
		t.Error("the page still shows a fault")
	}
}

// The front page shows copies only if several farmers should hold each file.
func TestCopies(t *testing.T) {
	t.Parallel()
	records := pagetest.New(30)
	for redundancy, shown := range map[int64]bool{1: false, 3: true} {
		h := &fixture{Records: records, Page: page.New(records, page.Options{
			Log: slog.New(slog.DiscardHandler), GeoLite2: func() bool { return false }, Now: func() time.Time { return pagetest.Now }, Redundancy: redundancy,
		})}
		for _, address := range []string{"/", "/?period=1y"} {
			got := h.body(t, address, 200)
			for _, part := range []string{
				"should be with 3 farmers", "35 of 1,000 files have fewer copies", `<rect width="100.0" height="2"/></svg></th><td class="figure">965</td>`,
				`<th scope="row">0<svg`, "Files below the target from",
			} {
				if strings.Contains(got, "Inf") || strings.Contains(got, "NaN") {
					t.Errorf("%s: a plot has an infinite coordinate", address)
				}
				if strings.Contains(got, part) != shown {
					t.Errorf("redundancy %d: %s: contains %q: %t", redundancy, address, part, !shown)
				}
			}
		}
	}
}

// The pages announce a maintenance until it begins, and then say that it lasts.
func TestMaintenances(t *testing.T) {
	t.Parallel()
	h := open(t, 30)
	m := node.Fault{
		Start: pagetest.Now.Add(time.Hour), Planned: pagetest.Now.Add(3 * time.Hour), Cause: node.Maintenance, Evidence: "new <disks>",
	}
	h.SetMaintenances(m)
	addresses := []string{"/", "/farmer/" + h.List(roster.Query{})[0].ID}
	check := func(announced, begun bool) {
		t.Helper()
		for _, address := range addresses {
			got := regexp.MustCompile("<time[^>]*>|</time>").ReplaceAllString(h.body(t, address, 200), "")
			for notice, want := range map[string]bool{
				"A maintenance of the node is planned from 14 Mar 2026, 16:09 UTC to 14 Mar 2026, 18:09 UTC: new &lt;disks&gt;.":    announced,
				"The node is in maintenance since 14 Mar 2026, 16:09 UTC, planned until 14 Mar 2026, 18:09 UTC: new &lt;disks&gt;.": begun,
			} {
				if strings.Contains(got, notice) != want {
					t.Errorf("%s: %q is shown: %v, want %v", address, notice, !want, want)
				}
			}
		}
	}
	check(true, false)
	h.pass(61 * time.Minute)
	h.SetFaults(m)
	check(false, true)
	h.SetFaults()
	h.SetMaintenances()
	h.pass(6 * time.Second)
	check(false, false)
}

// The totals, the plots and the table show one moment, even if the records change while the page is made.
func TestOneMoment(t *testing.T) {
	t.Parallel()
	h := open(t, 60)
	was := h.body(t, "/", 200)
	h.Change(func(farmers []node.Farmer) []node.Farmer { return farmers[:7] })
	if got := h.body(t, "/", 200); got != was {
		t.Error("a part of the page has changed before the totals")
	}
	h.pass(6 * time.Second)
	got := h.body(t, "/", 200)
	view, err := h.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	online := view.Summary().Online
	contains(t, "/", got, []string{">7</dd>", "1–7 of 7", fmt.Sprintf("Online now</dt><dd>%d</dd>", online), fmt.Sprintf("<b>%d</b></span></figcaption>", online)})
	day := regexp.MustCompile(`<tbody>\s*<tr>.*?</tr>`).FindString(h.body(t, "/history", 200))
	contains(t, "/history", day, []string{`<td class="figure">7</td>`, fmt.Sprintf(`<td class="figure">%d</td>`, online)})
}

// The page says what this node asks of farmers, with commands that work for it.
func TestJoin(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rules   page.Rules
		contact string
		has     []string
		lacks   []string
	}{
		"everybody": {
			page.Rules{Interval: time.Minute, BytesPerAddress: 1 << 40},
			"",
			[]string{
				"Everybody may farm here.", "downstream-node farm http://node.example:5000 --address YOUR_SJCX_ADDRESS --size 1GiB --dir farm</code>",
				"<code>downstream http://node.example:5000 --address YOUR_SJCX_ADDRESS --size 1073741824</code>", "proves it again every 60 s",
			},
			[]string{"whitelist", "signature"},
		},
		"a whitelist and signatures": {
			page.Rules{Interval: 5 * time.Minute, Whitelist: true, Signatures: true, MinBalance: 10_000, BytesPerAddress: 1 << 20},
			"farms@example.org",
			[]string{
				"must be on the whitelist of this node, with at least 10,000 SJCX. Ask the operator: <a href=\"mailto:farms@example.org\"",
				"--size 1048576 --dir farm --message 'YOUR MESSAGE' --signature 'ITS SIGNATURE'</code>", "data/identities.json",
				"<dt>Operator</dt><dd><a href=\"mailto:farms@example.org\"",
			},
			[]string{"Everybody may farm"},
		},
	} {
		for _, farmers := range []int{0, 5} {
			got := openWith(t, farmers, page.Options{Rules: test.rules, Config: page.Config{Contact: test.contact}}).body(t, "/", 200)
			contains(t, name, got, test.has)
			for _, part := range test.lacks {
				if strings.Contains(got, part) {
					t.Errorf("%s: the page contains %q", name, part)
				}
			}
		}
	}
}

// The page shows what the operator has configured, and what the node is.
func TestNode(t *testing.T) {
	t.Parallel()
	h := openWith(t, 30, page.Options{
		Config:  page.Config{Name: "The <farm>", Contact: "https://example.org/help", Announcement: "New <disks> on Sunday"},
		Version: "v1.2.3", Scheme: func() string { return "Swizzle" }, Invented: true,
	})
	contains(t, "/", h.body(t, "/", 200), []string{
		"<h1>Farmers of The &lt;farm&gt;</h1>", `id="announcement">New &lt;disks&gt; on Sunday</p>`, "<dd>Swizzle</dd>", "<dd>v1.2.3</dd>", "<dd>5.0 GiB in 1,234 files</dd>",
		`<a href="https://example.org/help"`, `<meta property="og:site_name" content="The &lt;farm&gt;">`, `<meta property="og:description" content="All well: `,
		`<meta property="og:url" content="http://node.example:5000/">`, `id="invented"`, "<b>All well:</b> ", " % of proofs right in 24 h.",
		" the day before</small></dd></div>\n<div class=\"gone\">", " the day before</small></dd></div>\n</dl>", "<dt>A proof is due every</dt><dd>5 min</dd>",
	})
	if got := open(t, 30).body(t, "/", 200); strings.Contains(got, "announcement") || strings.Contains(got, "invented") || !strings.Contains(got, "Farmers of node.example:5000") {
		t.Error("a page without a configuration shows one")
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for contact, want := range map[string]string{
		"": "", "operator@example.org": "mailto:operator@example.org", "https://example.org/help": "https://example.org/help", "http://example.org": "http://example.org",
		"somebody": "", "javascript:alert(1)": "", "https://": "", "A Name <a@example.org>": "",
	} {
		if got := (page.Config{Contact: contact}).ContactLink(); got != want {
			t.Errorf("%q has the link %q, want %q", contact, got, want)
		}
	}
}

// A country selects its farmers, and the table says how much they store.
func TestCountries(t *testing.T) {
	t.Parallel()
	h := open(t, 3000)
	in := func(f node.Farmer) string {
		if f.Location == nil {
			return roster.Unknown
		}
		return f.Location.Country
	}
	farmers := map[string]int64{}
	for _, f := range h.List(roster.Query{}) {
		farmers[in(f)]++
	}
	front := html.UnescapeString(h.body(t, "/", 200))
	for country, n := range farmers {
		address := "/?" + url.Values{"country": {country}}.Encode()
		if !strings.Contains(front, `href="`+address+`#farmers">`) {
			t.Errorf("the page has no link to the farmers of %s", country)
		}
		got := h.body(t, address, 200)
		contains(t, address, got, []string{fmt.Sprintf(" of %d in %s, together ", n, country), `id="everywhere" href="/"`, `aria-current="true">` + country + "<", `<input type="hidden" name="country" value="` + country + `">`})
	}
	if len(farmers) < 20 || farmers[roster.Unknown] == 0 || !strings.Contains(front, "more countries</summary>") {
		t.Errorf("the farmers are in %d countries", len(farmers))
	}
}

func TestNoFarmers(t *testing.T) {
	t.Parallel()
	got := open(t, 0).body(t, "/", 200)
	if !strings.Contains(got, "downstream-node farm http://node.example:5000 --address") {
		t.Error("the page does not show how to join")
	}
	if strings.Contains(got, "MaxMind") {
		t.Error("the page names MaxMind although it shows no data of MaxMind")
	}
}

// A page contains nothing that its Content-Security-Policy forbids.
func TestStrict(t *testing.T) {
	t.Parallel()
	h := open(t, 60)
	inline := regexp.MustCompile(`<style|\sstyle=|\son\w+=|<script[^>]*></script>|javascript:`)
	source := regexp.MustCompile(`<script[^>]*src="/assets/`)
	for _, address := range []string{"/", "/history", "/farmer/" + h.List(roster.Query{})[0].ID, "/nothing"} {
		w := h.get(address)
		for _, found := range inline.FindAllString(w.Body.String(), -1) {
			if !source.MatchString(found) {
				t.Errorf("%s contains %q", address, found)
			}
		}
		if p := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(p, "default-src 'none'; script-src 'self'; style-src 'self';") {
			t.Errorf("%s has the policy %q", address, p)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY"} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %s is %q", address, name, got)
			}
		}
	}
}

// If a page or a style sheet names an asset, the asset must exist and be cacheable for
// a year. Its content must be the same with and without compression.
func TestAssets(t *testing.T) {
	t.Parallel()
	h := open(t, 60)
	address := regexp.MustCompile(`/assets/[\w.-]+`)
	seen := map[string]bool{}
	todo := address.FindAllString(h.body(t, "/", 200)+h.body(t, "/farmer/"+h.List(roster.Query{})[0].ID, 200), -1)
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		if seen[name] {
			continue
		}
		seen[name] = true
		plain, packed := h.get(name), h.get(name, "Accept-Encoding", "br, gzip")
		if plain.Code != 200 || plain.Header().Get("Content-Type") == "" || !strings.Contains(plain.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d, %v", name, plain.Code, plain.Header())
		}
		content := packed.Body.Bytes()
		if packed.Header().Get("Content-Encoding") == "gzip" {
			content = unpack(t, content)
		}
		if !bytes.Equal(content, plain.Body.Bytes()) {
			t.Errorf("the compressed %s differs", name)
		}
		if strings.HasSuffix(name, ".css") {
			todo = append(todo, address.FindAllString(string(content), -1)...)
		}
	}
	if len(seen) < 10 {
		t.Errorf("the pages name only %d assets", len(seen))
	}
	// A page from an older version gets the current asset of the same name.
	w := h.get("/assets/page.000000000000.css")
	if w.Code != 200 || strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
		t.Errorf("an asset of another version: %d, %v", w.Code, w.Header())
	}
}

func unpack(t *testing.T, content []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// The licences of all embedded libraries are served.
func TestLicences(t *testing.T) {
	t.Parallel()
	h := open(t, 60)
	text := h.body(t, regexp.MustCompile(`/assets/licences\.[0-9a-f]+\.txt`).FindString(h.body(t, "/", 200)), 200)
	libraries, err := os.ReadDir("libraries")
	if err != nil {
		t.Fatal(err)
	}
	for _, library := range libraries {
		if !strings.Contains(text, "\n"+library.Name()+"\n====") {
			t.Errorf("the licence of %s is missing", library.Name())
		}
	}
}

func TestUnchangedIsNotSentAgain(t *testing.T) {
	t.Parallel()
	h := open(t, 60)
	was := h.get("/")
	tag := was.Header().Get("ETag")
	if again := h.get("/", "If-None-Match", tag); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
		t.Errorf("for the unchanged page: status %d, %d bytes", again.Code, again.Body.Len())
	}
	packed := h.get("/", "Accept-Encoding", "gzip")
	if !bytes.Equal(unpack(t, packed.Body.Bytes()), was.Body.Bytes()) || packed.Header().Get("ETag") != tag {
		t.Error("the compressed page differs")
	}
	if refused := h.get("/", "Accept-Encoding", "gzip;q=0"); refused.Header().Get("Content-Encoding") != "" {
		t.Error("the page is compressed although the client refuses it")
	}
	h.Change(func(farmers []node.Farmer) []node.Farmer { return farmers[1:] })
	h.pass(6 * time.Second)
	if changed := h.get("/", "If-None-Match", tag); changed.Code != http.StatusOK {
		t.Errorf("for the changed page: status %d", changed.Code)
	}
}

// If the records cannot be read, the page shows the last figures and their time. If
// it has no figures yet, it shows an error message.
func TestRecordsAway(t *testing.T) {
	t.Parallel()
	h := open(t, 60)
	h.SetAway(true)
	if w := h.get("/"); w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "cannot be read at the moment") {
		t.Errorf("before the first read: %d", w.Code)
	}
	if w := h.get("/farmer/" + strings.Repeat("0", 20)); w.Code != 503 {
		t.Errorf("a farmer: %d", w.Code)
	}
	h.SetAway(false)
	h.pass(6 * time.Second)
	h.body(t, "/", 200)
	h.SetAway(true)
	h.pass(time.Hour)
	got := h.body(t, "/", 200)
	for _, want := range []string{"These are the figures of", "15:09 UTC", ">60</dd>", "<b>Not all is well:</b> the node has not read its records since", "1–50 of 60"} {
		if !strings.Contains(got, want) {
			t.Errorf("the page does not contain %q", want)
		}
	}
	h.SetAway(false)
	h.pass(6 * time.Second)
	if strings.Contains(h.body(t, "/", 200), "These are the figures of") {
		t.Error("the records can be read again, but the page still shows the failure")
	}
}

func TestMapJSON(t *testing.T) {
	t.Parallel()
	h := open(t, 3000)
	spots := map[string]int{}
	for _, zoom := range []string{"-2", "0", "6"} {
		var rows [][]any
		if err := json.Unmarshal([]byte(h.body(t, "/map.json?zoom="+zoom, 200)), &rows); err != nil {
			t.Fatal(err)
		}
		spots[zoom] = len(rows)
	}
	if spots["-2"] < 3 || spots["-2"] >= spots["0"] || spots["0"] >= spots["6"] {
		t.Errorf("spots by zoom: %v", spots)
	}
}

// If the maximum number of requests waits for slow records, the page immediately
// refuses further requests.
func TestLimitOfRequestsInFlight(t *testing.T) {
	t.Parallel()
	h := open(t, 10)
	end := h.Hold()
	var waiting sync.WaitGroup
	codes := make(chan int, 100)
	for range 100 {
		waiting.Go(func() { codes <- h.get("/").Code })
	}
	for range 100 - 32 {
		if code := <-codes; code != http.StatusServiceUnavailable {
			t.Errorf("a request above the limit got status %d", code)
		}
	}
	end()
	waiting.Wait()
	for range 32 {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("a request that waited got status %d", code)
		}
	}
}

func TestBusy(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	open(t, 1).Busy(w, httptest.NewRequest(http.MethodGet, "/", nil), 4*time.Second)
	if w.Code != 503 || w.Header().Get("Retry-After") != "4" || !strings.Contains(w.Body.String(), "Too many requests") {
		t.Errorf("%d, %v", w.Code, w.Header())
	}
}
