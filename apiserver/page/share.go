package page

import (
	"encoding/xml"
	"fmt"
	"html"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

// Other sites and programs use what this file serves: badges and feeds.

// share sends a response that pages of other sites may embed.
func (p *Page) share(w http.ResponseWriter, r *http.Request, kind string, body []byte, began time.Time) {
	p.send(w, r, http.StatusOK, kind, body, began, "cross-origin")
}

// The colours of a badge. White text on them has enough contrast.
const badgeGood, badgeBad, badgeOff = "#1c7a4b", "#b3332e", "#59635c"

// badgeOf draws a badge with a label and a value. A letter is about 6.6 units wide.
func badgeOf(label, value, colour string) []byte {
	width := func(text string) int { return 16 + utf8.RuneCountInString(text)*66/10 }
	left, right := width(label), width(value)
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="20" role="img" aria-label="%[2]s: %[3]s"><title>%[2]s: %[3]s</title>`+
		`<rect width="%[1]d" height="20" rx="3" fill="#333"/><rect x="%[4]d" width="%[5]d" height="20" rx="3" fill="%[6]s"/>`+
		`<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle"><text x="%[7]d" y="14" textLength="%[8]d">%[2]s</text><text x="%[9]d" y="14" textLength="%[10]d">%[3]s</text></g></svg>`,
		left+right, html.EscapeString(label), html.EscapeString(value), left, right, colour, left/2, left-16, left+right/2, right-16)
}

// badge draws how many farmers are online, or that not all is well.
func (p *Page) badge(w http.ResponseWriter, r *http.Request) {
	now := p.opt.Now()
	found := p.figures.get(r.Context(), now)
	if found.at.IsZero() {
		p.away(w, r, found.err)
		return
	}
	value, colour := grouped(found.value.Totals.Online)+" of "+grouped(found.value.Totals.Farmers)+" farmers online", badgeGood
	switch fault := p.faults.get(r.Context(), now).value.notices(now).Fault; {
	case found.err != nil:
		value, colour = "records away", badgeBad
	case fault != nil && fault.Suspected():
		value, colour = "may be out of reach since "+moment(fault.Start), badgeOff
	case fault != nil && fault.Planned.IsZero():
		value, colour = "fault since "+moment(fault.Start), badgeBad
	case fault != nil:
		value, colour = "maintenance until "+moment(fault.Planned), badgeOff
	}
	p.share(w, r, "image/svg+xml", badgeOf(p.name(r), value, colour), now)
}

// farmerBadge draws the score of a farmer, and whether it is online.
func (p *Page) farmerBadge(w http.ResponseWriter, r *http.Request) {
	now := p.opt.Now()
	f, ok := p.find(w, r, now)
	if !ok {
		return
	}
	stated := p.statedAt(now)
	rating := p.rate(f.Farmer, stated).Rating
	value, colour := "online", badgeGood
	switch {
	case rating.Standing == node.Suspended:
		value, colour = "suspended", badgeBad
	case !f.Uptime.Online(stated):
		value, colour = "offline", badgeOff
	}
	if rating.Known {
		value += ", score " + rating.Bound()
	}
	p.share(w, r, "image/svg+xml", badgeOf("farmer "+f.ID[:8], value, colour), now)
}

// shortStrip is the number of days in the strip of a farmer in the table. stripColours are the colours of
// their levels. An image cannot see the theme of the page, so each colour is legible on both.
const shortStrip = 30

var stripColours = map[string]string{"good": "#2f9461", "fair": "#c9982c", "poor": "#d07035", "out": "#cf4f47", "none": "#8f9991"}

// farmerStrip draws the uptime of a farmer's last days, for the table. It is an image, so that browsers
// load only the strips that a visitor sees, after the table.
func (p *Page) farmerStrip(w http.ResponseWriter, r *http.Request) {
	now := p.opt.Now()
	var days []node.Day
	err := store.ErrNotFound
	if id, ok := node.ParseFarmerID(r.PathValue("id")); ok {
		days, err = p.records.FarmerDays(r.Context(), id, now.AddDate(0, 0, 1-shortStrip), now)
	}
	if !p.found(w, r, err) {
		return
	}
	image := fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %v %v" preserveAspectRatio="none">`, shortStrip*stripStep, stripHeight)
	strip := stripOf(withFaults(days, nil, now), now)
	for i, d := range strip[len(strip)-shortStrip:] {
		image = fmt.Appendf(image, `<rect x="%v" y="%v" width="8" height="%v" fill="%s"/>`, float64(i)*stripStep, d.Y, d.Height(), stripColours[d.Level])
	}
	w.Header().Set("Cache-Control", "private, max-age=300") // the table refreshes every few seconds
	p.send(w, r, http.StatusOK, "image/svg+xml", append(image, "</svg>"...), now, sameOrigin)
}

// The elements of an Atom feed (RFC 4287).
type feed struct {
	XMLName xml.Name    `xml:"http://www.w3.org/2005/Atom feed"`
	Title   string      `xml:"title"`
	ID      string      `xml:"id"`
	Links   []feedLink  `xml:"link"`
	Updated string      `xml:"updated"`
	Author  string      `xml:"author>name"`
	Entries []feedEntry `xml:"entry"`
}

type feedLink struct {
	Rel  string `xml:"rel,attr,omitempty"`
	Href string `xml:"href,attr"`
}

type feedEntry struct {
	Title   string   `xml:"title"`
	ID      string   `xml:"id"`
	Link    feedLink `xml:"link"`
	Updated string   `xml:"updated"`
	Summary string   `xml:"summary"`
}

// sendFeed sends a feed about a page of the node. The entries must have the latest first.
func (p *Page) sendFeed(w http.ResponseWriter, r *http.Request, title, about string, entries []feedEntry, now time.Time) {
	base := nodeAddress(r)
	f := feed{
		Title: title + " · " + p.name(r), ID: base + r.URL.Path, Author: p.name(r), Updated: machine(now.Truncate(24 * time.Hour)), Entries: entries,
		Links: []feedLink{{Href: base + about}, {"self", base + r.URL.Path}},
	}
	for i := range entries {
		if i == 0 {
			f.Updated = "" // the latest entry says it
		}
		entries[i].Link.Href = base + about
		entries[i].ID = base + r.URL.Path + "#" + entries[i].ID
		f.Updated = max(f.Updated, entries[i].Updated)
	}
	body, err := xml.Marshal(f)
	if err != nil {
		p.away(w, r, err)
		return
	}
	p.share(w, r, "application/atom+xml; charset=utf-8", append([]byte(xml.Header), body...), now)
}

// feedLength is the maximum number of entries in a feed.
const feedLength = 100

// faultFeed lists the planned maintenances and the faults of the node.
func (p *Page) faultFeed(w http.ResponseWriter, r *http.Request) {
	now := p.opt.Now()
	found := p.faults.get(r.Context(), now)
	if found.at.IsZero() {
		p.away(w, r, found.err)
		return
	}
	var entries []feedEntry
	for _, m := range found.value.notices(now).Planned {
		entries = append(entries, feedEntry{
			Title: "A maintenance is planned", ID: fmt.Sprint("planned-", m.ID), Updated: machine(m.Start),
			Summary: "from " + moment(m.Start) + " to " + moment(m.Planned) + ": " + m.Evidence,
		})
	}
	for _, f := range found.value.Recorded[:min(len(found.value.Recorded), feedLength)] {
		e := feedEntry{Title: "The node had a fault", ID: fmt.Sprint("fault-", f.ID), Updated: machine(f.End), Summary: "from " + moment(f.Start) + ", for " + lasted(f.End.Sub(f.Start)) + ": " + f.Evidence}
		if f.End.IsZero() {
			e.Title, e.Updated, e.Summary = "The node has a fault", machine(f.Start), "since "+moment(f.Start)+": "+f.Evidence
		}
		if f.Suspected() {
			e.Title = "The node may be out of reach"
		}
		if f.Void > 0 {
			e.Summary += fmt.Sprintf(" (%s void)", node.Counted(f.Void, "contract"))
		}
		entries = append(entries, e)
	}
	p.sendFeed(w, r, "Faults and maintenances", "/", entries, now)
}

// eventFeed lists the last events of a farmer.
func (p *Page) eventFeed(w http.ResponseWriter, r *http.Request) {
	now := p.opt.Now()
	f, ok := p.find(w, r, now)
	if !ok {
		return
	}
	entries := []feedEntry{}
	for i, e := range eventsOf(f.events, p.faults.get(r.Context(), now).value.Recorded, now) {
		entries = append(entries, feedEntry{
			Title: e.What, Updated: machine(e.At), Summary: e.Why,
			ID: fmt.Sprintf("%s-%s-%d", f.events[i].Kind, f.events[i].FileHash, e.At.UnixMicro()),
		})
		if e.File != "" {
			entries[i].Summary += " (file " + e.File + "…)"
		}
	}
	p.sendFeed(w, r, "Farmer "+f.ID, "/farmer/"+f.ID, entries, now)
}

// robots keeps crawlers away from the API and from the many orders of the table.
func (p *Page) robots(w http.ResponseWriter, r *http.Request) {
	p.send(w, r, http.StatusOK, "text/plain; charset=utf-8", []byte("User-agent: *\nDisallow: /api/\nDisallow: /*?\nAllow: /\n"), p.opt.Now(), sameOrigin)
}
