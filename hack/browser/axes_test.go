//go:build browser

package browser

import (
	"fmt"
	"testing"
	"time"
)

// word is a text on a plot, and its position.
type word struct {
	Plot        int
	Text        string
	Left, Right float64 // edges of the text, in pixels of the drawing
	Width       float64 // width of the drawing, in pixels
}

// redraw draws the plots again and returns the texts on them.
const redraw = `new Promise((done) => {
	const words = [], all = [...document.querySelectorAll('[data-plot] canvas')];
	const kind = CanvasRenderingContext2D.prototype, write = kind.fillText;
	kind.fillText = function (text, x, y) {
		const width = this.measureText(text).width;
		const left = x - { left: 0, start: 0, center: width / 2, right: width, end: width }[this.textAlign];
		words.push({ Plot: all.indexOf(this.canvas), Text: text, Left: left, Right: left + width, Width: this.canvas.width });
		write.call(this, text, x, y);
	};
	document.dispatchEvent(new Event('page:colours'));
	requestAnimationFrame(() => requestAnimationFrame(() => { kind.fillText = write; done(words); }));
})`

// TestAxes checks that no text of an axis appears twice or is cut off. It tests
// young nodes and old nodes.
func TestAxes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		age    time.Duration
		period string
	}{
		{2 * time.Minute, "24h"},
		{9 * time.Minute, "24h"},
		{5 * time.Hour, "24h"},
		{1000 * 24 * time.Hour, "24h"},
		{1000 * 24 * time.Hour, "7d"},
		{1000 * 24 * time.Hour, "30d"},
		{1000 * 24 * time.Hour, "1y"},
	} {
		t.Run(fmt.Sprintf("%v of %s", c.age, c.period), func(t *testing.T) {
			s := serve(t, 420)
			s.SetAge(c.age)
			v := open(t, s.url+"/?period="+c.period, desktop)
			v.until("document.fonts.status === 'loaded'")
			v.ready()
			seen := map[string]bool{}
			words := ask[[]word](v, redraw)
			for _, w := range words {
				if key := fmt.Sprint(w.Plot, " ", w.Text); seen[key] {
					t.Errorf("plot %d has %s twice", w.Plot, w.Text)
				} else {
					seen[key] = true
				}
				if w.Left < 0 || w.Right > w.Width {
					t.Errorf("plot %d: %s is from %.0f to %.0f, and the drawing ends at %.0f", w.Plot, w.Text, w.Left, w.Right, w.Width)
				}
			}
			if plots := ask[int](v, "document.querySelectorAll('[data-plot]').length"); plots < 5 || len(words) < 5*plots {
				t.Errorf("%d texts on %d plots", len(words), plots)
			}
		})
	}
}
