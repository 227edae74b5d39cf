//go:build browser

package browser

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	status "github.com/driveshare/downstream-node/apiserver/page"
	"github.com/driveshare/downstream-node/apiserver/page/pagetest"
)

// chromium is the browser that all tests share.
var chromium context.Context

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	profile, err := os.MkdirTemp("", "chromium")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(profile)
	allocator, stop := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath("chromium"), chromedp.UserDataDir(profile),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("force-color-profile", "srgb"),
	)
	defer stop()
	ctx, cancel := chromedp.NewContext(allocator)
	defer cancel()
	if err := chromedp.Do(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "Chromium does not start: %v\nmake test-browser installs it\n", err)
		return 1
	}
	chromium = ctx
	return m.Run()
}

// site is a page with records in memory, on its own port.
type site struct {
	*pagetest.Records
	url string
}

// serve starts a site with n farmers.
func serve(t *testing.T, n int) *site {
	t.Helper()
	records := pagetest.New(n)
	began := time.Now()
	p := status.New(records, status.Options{
		GeoLite2: func() bool { return true },
		Log:      slog.New(slog.DiscardHandler),
		// The clock starts at the time of the records.
		Now: func() time.Time { return pagetest.Now.Add(time.Since(began)) }, Redundancy: 3,
		Config:  status.Config{Name: "farm.example.org", Contact: "operator@example.org"},
		Rules:   status.Rules{Interval: 5 * time.Minute, Signatures: true, BytesPerAddress: 1 << 30},
		Version: "v1.0.0", Scheme: func() string { return "Swizzle" },
	})
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	return &site{records, server.URL}
}

// visit is a new visitor's tab. Its caches are empty.
type visit struct {
	t    *testing.T
	ctx  context.Context
	host string

	mu         sync.Mutex
	complaints []string
	tolerated  []string // the test expects complaints that contain one of these texts
	bytes      float64  // number of bytes that the network transferred
}

// looks are the settings of a visitor's browser.
type looks struct {
	width, height int64
	dark          bool
	phone         bool
	noScript      bool
	calm          bool // the visitor prefers reduced motion
}

var desktop = looks{width: 1280, height: 900}

// patience is how long a test waits for a change.
const patience = 20 * time.Second

// open opens an address as a new visitor.
func open(t *testing.T, address string, l looks) *visit {
	t.Helper()
	where, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	v := &visit{t: t, host: where.Host}
	ctx, cancel := chromedp.NewContext(chromium, chromedp.WithNewBrowserContext(), chromedp.WithListener(v.hear))
	v.ctx = ctx
	t.Cleanup(func() {
		cancel()
		v.mu.Lock()
		defer v.mu.Unlock()
		for _, complaint := range v.complaints {
			t.Errorf("%s: %s", address, complaint)
		}
	})
	// The tab closes when the context of its first action ends.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	v.do(
		call(network.Enable, network.EnableParams{}), call(log.Enable, cdp.Empty{}), call(runtime.Enable, cdp.Empty{}),
		l.set(), chromedp.Navigate(address),
	)
	return v
}

// set applies the settings to a browser.
func (l looks) set() step {
	scheme, motion := "light", "no-preference"
	if l.dark {
		scheme = "dark"
	}
	if l.calm {
		motion = "reduce"
	}
	return chromedp.Steps(
		call(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: l.width, Height: l.height, DeviceScaleFactor: 1, Mobile: l.phone,
		}),
		call(emulation.SetTouchEmulationEnabled, emulation.SetTouchEmulationEnabledParams{Enabled: l.phone}),
		call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: l.noScript}),
		call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: motion},
		}}),
	)
}

// step is an action in the browser.
type step = chromedp.Action[chromedp.Void]

// call returns a step that sends a command of the browser's protocol.
func call[P, R any](command cdp.Command[P, R], params P) step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

// hear records the events of the browser.
func (v *visit) hear(event any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		where, err := url.Parse(e.Request.URL)
		if err != nil || where.Host != v.host && where.Scheme != "data" && where.Scheme != "blob" {
			v.complain("a request leaves the host: %s", e.Request.URL)
		}
	case *network.EventLoadingFinished:
		v.bytes += e.EncodedDataLength
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			v.complain("the browser reports: %s (%s)", e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		v.complain("a script fails: %s", describe(e.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			v.complain("the console has %s", e.Type)
		}
	case *page.EventJavascriptDialogOpening:
		v.complain("a dialog opens: %s", e.Message)
	}
}

func describe(e *runtime.ExceptionDetails) string {
	if e.Exception != nil {
		return e.Text + " " + e.Exception.Description
	}
	return e.Text
}

func (v *visit) complain(format string, args ...any) {
	complaint := fmt.Sprintf(format, args...)
	for _, part := range v.tolerated {
		if strings.Contains(complaint, part) {
			return
		}
	}
	v.complaints = append(v.complaints, complaint)
}

// tolerate ignores complaints that contain the text.
func (v *visit) tolerate(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.tolerated = append(v.tolerated, text)
}

func (v *visit) do(steps ...step) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		v.t.Fatal(err)
	}
}

// until waits until a JavaScript expression is true. The page may still be loading.
// The Go code evaluates the expression again and again, because a page without
// scripts has no timers.
func (v *visit) until(what string) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, patience)
	defer cancel()
	for {
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+what+")"))
		switch {
		case err == nil && is:
			return
		case ctx.Err() != nil:
			v.t.Fatalf("this did not become true: %s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// ask returns the value of a JavaScript expression. If the value is a promise, ask
// waits for its result.
func ask[T any](v *visit, what string) T {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, patience)
	defer cancel()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[T](what, chromedp.EvalAwaitPromise))
	if err != nil {
		v.t.Fatalf("%s: %v", what, err)
	}
	return got
}

// is fails the test unless an expression has the wanted value.
func is[T comparable](v *visit, what string, want T) {
	v.t.Helper()
	if got := ask[T](v, what); got != want {
		v.t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// ready waits until the scripts have drawn the map and the plots.
func (v *visit) ready() {
	v.t.Helper()
	v.until("document.querySelector('#map .leaflet-marker-icon') && document.querySelectorAll('[data-plot] canvas').length === document.querySelectorAll('[data-plot]').length")
}

// get fetches an address without the browser.
func get(t *testing.T, address string) *http.Response {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}
