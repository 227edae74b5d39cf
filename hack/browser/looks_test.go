//go:build browser

package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

var (
	dark  = looks{width: 1280, height: 900, dark: true}
	phone = looks{width: 360, height: 740, phone: true}
)

const paper = "getComputedStyle(document.documentElement).backgroundColor"

func TestColours(t *testing.T) {
	t.Parallel()
	s := serve(t, 120)
	light, night := open(t, s.url, desktop), open(t, s.url, dark)
	light.ready()
	night.ready()
	day, dusk := ask[string](light, paper), ask[string](night, paper)
	if day == dusk {
		t.Fatalf("the background is %s in both colour schemes", day)
	}
	// The button switches the colours of this page and of the next page.
	is(night, "document.getElementById('theme').getAttribute('aria-pressed')", "true")
	night.do(chromedp.Click("#theme"))
	night.until(paper + " === '" + day + "'")
	is(night, "document.getElementById('theme').getAttribute('aria-pressed')", "false")
	night.do(chromedp.Navigate(s.url + "/history"))
	is(night, paper, day)
}

// On a phone, nothing is wider than the screen and nothing is missing.
func TestPhone(t *testing.T) {
	t.Parallel()
	s := serve(t, 1200)
	v := open(t, s.url, phone)
	v.ready()
	id := v.column(ids)[0]
	for _, path := range []string{"/", "/?q=1&page=2&sort=uptime", "/history", "/farmer/" + id, "/farmer/none", "/?q=nobody"} {
		v.tolerate("404")
		v.do(chromedp.Navigate(s.url + path))
		if wide := ask[int](v, "document.documentElement.scrollWidth"); wide > 360 {
			t.Errorf("%s is %d pixels wide", path, wide)
		}
	}
	v.do(chromedp.Navigate(s.url))
	v.ready()
	is(v, "document.querySelector('table.farmers td[data-name]').getBoundingClientRect().right <= 360", true)
	// A screen reader still announces a card as a row of a table.
	is(v, "document.querySelector('table.farmers tbody tr').getAttribute('role')", "row")
	// If the table has no headers to click, the visitor sorts it with a list.
	v.do(chromedp.SendKeys("#sort", "Up"))
	v.until("new URLSearchParams(location.search).get('sort') === 'uptime' && document.querySelector('.uptime[aria-sort]')")
	// A plot is a line with a small curve.
	is(v, "document.querySelector('.plot').getBoundingClientRect().height < 90 && document.querySelector('[data-plot] canvas').getBoundingClientRect().width > 100", true)
	// Buttons are large enough for fingers.
	is(v, "document.querySelector('.leaflet-control-zoom-in').getBoundingClientRect().width >= 24", true)
}

// Without scripts, only live updates are missing.
func TestWithoutScripts(t *testing.T) {
	t.Parallel()
	l := desktop
	l.noScript = true
	s := serve(t, 120)
	v := open(t, s.url, l)
	is(v, "document.querySelectorAll('#map svg circle').length > 10", true)
	is(v, "document.querySelectorAll('.plot svg .line').length", 7)
	is(v, "document.querySelectorAll('table.farmers tbody tr').length", 50)
	is(v, "document.querySelector('.totals dd').textContent", "120")
	is(v, "getComputedStyle(document.getElementById('theme')).display", "none")
	v.do(chromedp.Click("#by-address"), chromedp.WaitVisible(".address[aria-sort=ascending]"))
	v.do(chromedp.Click("#later"), chromedp.WaitVisible("#earlier"))
	is(v, "location.search", "?page=2&sort=address")
	wanted := v.column(addresses)[0]
	v.do(chromedp.SendKeys("#q", wanted[:12]), chromedp.Click("#online"), chromedp.Click(".go button"))
	v.until("location.search.includes('" + wanted[:12] + "') && document.querySelector('#online')?.checked")
	is(v, "new URLSearchParams(location.search).get('sort')", "address")
	v.do(chromedp.Navigate(s.url + "/?q=" + wanted))
	v.do(chromedp.Click("table.farmers tbody a"), chromedp.WaitVisible(".strip"))
	is(v, "document.querySelectorAll('.plot svg').length", 4)
}

// If a visitor prefers reduced motion, nothing on the page moves.
func TestReducedMotion(t *testing.T) {
	t.Parallel()
	l := desktop
	l.calm = true
	v := open(t, serve(t, 120).url, l)
	v.ready()
	v.do(chromedp.Click("#map .leaflet-control-zoom-in"))
	is(v, "document.querySelector('#map .leaflet-zoom-anim')", any(nil))
	is(v, "document.querySelector('#map').classList.contains('leaflet-fade-anim')", false)
	is(v, "document.getAnimations().length", 0)
}

// The policy lets the browser run only files of this host.
func TestPolicy(t *testing.T) {
	t.Parallel()
	s := serve(t, 12)
	policy := get(t, s.url).Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy lacks %s: %s", want, policy)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("the policy has an unsafe part: %s", policy)
	}
	v := open(t, s.url, desktop)
	v.ready()
	v.tolerate("Content Security Policy")
	is(v, "(() => { const s = document.createElement('script'); s.textContent = 'window.ran = true'; document.head.append(s); return window.ran === undefined; })()", true)
}
