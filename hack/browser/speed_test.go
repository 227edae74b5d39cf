//go:build browser

package browser

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestHundredThousand checks the page's limits with 100,000 farmers. It runs before
// the parallel tests.
func TestHundredThousand(t *testing.T) {
	crowded := serveCrowd(t, 100_000)
	get(t, crowded) // only the first visitor after a start waits until the page is ready
	paint, bytes := math.Inf(1), 0.0
	for range 3 { // new visitors with empty caches
		v := open(t, crowded, desktop)
		v.ready()
		v.until("document.fonts.status === 'loaded'")
		paint = min(paint, ask[float64](v, "performance.getEntriesByName('first-contentful-paint')[0].startTime"))
		v.mu.Lock()
		bytes = max(bytes, v.bytes)
		v.mu.Unlock()
	}
	t.Logf("first paint after %.0f ms, %.0f kB over the wire", paint, bytes/1000)
	if paint >= 1000 {
		t.Errorf("the first paint came after %.0f ms", paint)
	}
	if bytes >= 500_000 || bytes < 100_000 {
		t.Errorf("the page has %.0f bytes", bytes)
	}

	for _, path := range []string{"/", "/?sort=uptime", "/?sort=size", "/?sort=address&page=1500", "/?sort=id&online=1&page=700", "/?q=1A", "/?q=nobody"} {
		get(t, crowded+path) // the first request sorts the farmers
		var server []float64 // milliseconds
		for range 9 {
			timing := get(t, crowded+path).Header.Get("Server-Timing")
			ms, err := strconv.ParseFloat(strings.TrimPrefix(timing, "page;dur="), 64)
			if err != nil {
				t.Fatalf("Server-Timing is %q", timing)
			}
			server = append(server, ms)
		}
		slices.Sort(server)
		t.Logf("%s: server time %.1f ms, the longest %.1f ms", path, server[4], server[8])
		if server[4] >= 50 {
			t.Errorf("%s takes %.1f ms of server time", path, server[4])
		}
	}
}
