//go:build browser

package browser

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/roster"
)

// column returns a column of the table.
func (v *visit) column(n string) []string {
	v.t.Helper()
	return ask[[]string](v, "[...document.querySelectorAll('table.farmers tbody tr')].map((row) => row.querySelector('"+n+"').textContent)")
}

const (
	ids       = "th"
	addresses = "td.address"
	states    = "td.status .light"
)

func TestSort(t *testing.T) {
	t.Parallel()
	v := open(t, serve(t, 120).url, desktop)
	v.ready()
	is(v, "document.querySelector('[aria-sort]').textContent", "Score")
	v.do(chromedp.Click("#by-id"))
	v.until("document.querySelector('.id[aria-sort=ascending]')")
	if up := v.column(ids); !sort.StringsAreSorted(up) || len(up) != 50 {
		t.Errorf("by id: %v", up)
	}
	is(v, "location.search", "?sort=id")
	is(v, "document.activeElement.id", "by-id")
	v.do(chromedp.Click("#by-id"))
	v.until("document.querySelector('.id[aria-sort=descending]')")
	down := v.column(ids)
	slices.Reverse(down)
	if !sort.StringsAreSorted(down) {
		t.Errorf("by id, descending: %v", down)
	}
	is(v, "location.search", "?dir=desc&sort=id")
	for _, by := range []string{"address", "score", "uptime", "since", "seen", "heartbeats", "contracts", "size", "place", "online"} {
		v.do(chromedp.Click("#by-" + by))
		v.until("document.querySelector('." + by + "[aria-sort]')")
	}
	// The back button shows the previous table.
	v.do(chromedp.NavigateBack())
	v.until("document.querySelector('.place[aria-sort]')")
	// The address alone shows the same table to another visitor.
	other := open(t, ask[string](v, "location.href"), desktop)
	if mine, theirs := v.column(ids), other.column(ids); !slices.Equal(mine, theirs) {
		t.Errorf("a shared link shows %v, want %v", theirs, mine)
	}
}

func TestFilterAndSearch(t *testing.T) {
	t.Parallel()
	v := open(t, serve(t, 120).url, desktop)
	v.ready()
	if !slices.Contains(open(t, serve(t, 120).url+"/?sort=online&dir=asc", desktop).column(states), "offline") {
		t.Error("no farmer is offline, so there is nothing to filter")
	}
	v.do(chromedp.Click("#online"))
	v.until("new URLSearchParams(location.search).get('online') === '1' && document.querySelector('#count').textContent.includes('online')")
	for _, state := range v.column(states) {
		if state != "online" {
			t.Errorf("the list of online farmers has a farmer with the status %q", state)
		}
	}
	v.do(chromedp.Click("#online"))
	v.until("!document.querySelector('#count').textContent.includes('online')")

	wanted := v.column(addresses)[7]
	v.do(chromedp.SendKeys("#q", wanted[:9]))
	v.until("location.search === '?q=" + wanted[:9] + "' && document.querySelectorAll('table.farmers tbody tr').length === 1")
	if got := v.column(addresses); got[0] != wanted {
		t.Errorf("searching %s finds %s", wanted[:9], got)
	}
	is(v, "document.activeElement.id", "q")
	v.until("document.getElementById('told').textContent.includes('1–1 of 1')")
	v.do(chromedp.SendKeys("#q", "nobody"))
	v.until("document.querySelector('#count').textContent.startsWith('No farmer')")
}

func TestPaging(t *testing.T) {
	t.Parallel()
	v := open(t, serve(t, 120).url+"/?sort=id", desktop)
	v.ready()
	all := v.column(ids)
	for range 2 {
		v.do(chromedp.Click("#later"))
		v.until("!document.querySelector('tr[data-key=\"" + all[len(all)-1] + "\"]')")
		all = append(all, v.column(ids)...)
	}
	if len(all) != 120 || !sort.StringsAreSorted(all) || len(slices.Compact(slices.Clone(all))) != 120 {
		t.Errorf("the pages hold %d farmers", len(all))
	}
	is(v, "document.querySelector('#later')", any(nil))
	is(v, "document.querySelector('.paging [aria-current]').textContent", "3")
	is(v, "document.querySelector('#farmers').getBoundingClientRect().top >= -1", true)
	v.do(chromedp.Click("#earlier"))
	v.until("document.querySelector('.paging [aria-current]').textContent === '2'")
}

func TestKeyboard(t *testing.T) {
	t.Parallel()
	v := open(t, serve(t, 120).url, desktop)
	v.ready()
	v.do(chromedp.KeyEvent(kb.Tab))
	is(v, "document.activeElement.textContent", "Skip to the content")
	is(v, "document.activeElement.getBoundingClientRect().top >= 0", true)
	// The Tab key reaches every control, in the order of the page.
	var reached []string
	for range 80 {
		v.do(chromedp.KeyEvent(kb.Tab))
		name := ask[string](v, "document.activeElement.id || document.activeElement.className || document.activeElement.textContent")
		reached = append(reached, name)
		if shown := ask[bool](v, "(() => { const a = document.activeElement; const s = getComputedStyle(a); return a === document.body || s.outlineStyle !== 'none' || a.matches('summary'); })()"); !shown {
			t.Errorf("%q does not show that it has the focus", name)
		}
	}
	at := -1
	for _, name := range []string{"brand", "theme", "map", "q", "online", "by-id", "by-online"} {
		next := slices.IndexFunc(reached, func(r string) bool { return r == name || strings.HasPrefix(r, name+" ") })
		if next <= at {
			t.Errorf("the Tab key reaches %s out of order: %q", name, reached)
		}
		at = next
	}
	v.do(chromedp.Focus("#by-uptime"), chromedp.KeyEvent(kb.Enter))
	v.until("document.querySelector('.uptime[aria-sort=descending]')")
	is(v, "document.activeElement.id", "by-uptime")

	// Keys move the map.
	before := ask[int](v, "document.querySelectorAll('#map .leaflet-marker-icon').length")
	v.do(chromedp.Focus("#map"), chromedp.KeyEvent("+"), chromedp.KeyEvent("+"))
	v.until("document.querySelector('#map.near')")
	v.until(fmt.Sprintf("document.querySelectorAll('#map .leaflet-marker-icon').length > %d", before))
}

// A country shows its farmers in the table, and the rest of the countries opens and stays open.
func TestCountries(t *testing.T) {
	t.Parallel()
	s := serve(t, 3000)
	v := open(t, s.url, desktop)
	v.ready()
	v.do(chromedp.Click("#elsewhere summary"))
	is(v, "document.querySelector('#elsewhere tbody tr').checkVisibility()", true)
	country := ask[string](v, "document.querySelector('#elsewhere tbody a').textContent")
	n := ask[string](v, "document.querySelector('#elsewhere tbody td').textContent")
	v.do(chromedp.Click("#elsewhere tbody a"))
	v.until("document.getElementById('count').textContent.includes(' of " + n + " in " + country + ", together ')")
	is(v, "new URLSearchParams(location.search).get('country')", country)
	v.until("Math.abs(document.getElementById('farmers').getBoundingClientRect().top) < 60") // the visitor sees the table
	is(v, "[...document.querySelectorAll('td.place')].every((p) => p.textContent === '"+country+"')", true)
	is(v, "document.querySelector('#elsewhere').open", true) // also after the page was written again
	// The other choices keep the country.
	v.do(chromedp.Click("#online"))
	v.until("document.getElementById('count').textContent.includes(' online in " + country + "')")
	v.do(chromedp.Click("#everywhere"))
	v.until("!location.search.includes('country') && document.querySelector('#online').checked")
}

// Ids are short. A button copies the whole id, and an address shows its farmers.
func TestCopyAndAddress(t *testing.T) {
	t.Parallel()
	s := serve(t, 120)
	ordered := s.List(roster.Query{})
	shared := ordered[0].Address
	s.Change(func(farmers []node.Farmer) []node.Farmer {
		for i := range farmers {
			if farmers[i].ID <= ordered[3].ID {
				farmers[i].Address = shared
			}
		}
		return farmers
	})
	v := open(t, s.url+"/?sort=id", desktop)
	v.ready()
	id := v.column(ids)[2]
	is(v, "document.querySelector('.farmers tbody .id a').scrollWidth > document.querySelector('.farmers tbody .id a').clientWidth", true)
	ask[any](v, "navigator.clipboard.writeText = async (text) => { window.copied = text; }; null")
	v.do(chromedp.Click("tr[data-key='" + id + "'] button.copy"))
	v.until("window.copied === '" + id + "'")
	v.until("document.getElementById('told').textContent === 'Copied " + id + "'")
	// Without the clipboard of secure pages, the old way copies.
	ask[any](v, "Object.defineProperty(navigator, 'clipboard', { value: undefined }); document.addEventListener('copy', () => { window.copied = String(document.activeElement.value); }); window.copied = ''; null")
	v.do(chromedp.Click("tr[data-key='" + id + "'] button.copy"))
	v.until("window.copied === '" + id + "'")
	ask[any](v, "[...document.querySelectorAll('td.address a')].find((a) => a.textContent === '"+shared+"').click(); null")
	v.until("document.getElementById('count').textContent.includes('–4 of 4 matching “" + shared + "”, together ')")
}
