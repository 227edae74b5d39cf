//go:build browser

package browser

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// gallery is the folder of the documentation's pictures.
const gallery = "../../docs/screenshots"

// TestScreenshots takes the pictures of the documentation. It writes them only if
// UPDATE_SCREENSHOTS is set, so that the test does not change the tree.
func TestScreenshots(t *testing.T) {
	t.Parallel()
	s := serve(t, 4200)
	farmer := "/farmer/" + firstID(s)
	for _, shot := range []struct {
		name, path string
		looks      looks
		part       string // selects a part of the page; "" means the visible part
	}{
		{"front-light", "/", looks{width: 1280, height: 1400}, ""},
		{"front-dark", "/", looks{width: 1280, height: 1400, dark: true}, ""},
		{"farmers", "/?online=1", looks{width: 1280, height: 900}, "#farmers"},
		{"map", "/", looks{width: 1280, height: 900}, ".atlas"},
		{"farmer", farmer, looks{width: 1280, height: 1060}, ""},
		{"history", "/history?period=7d", looks{width: 1280, height: 700}, ""},
		{"join", "/", looks{width: 1280, height: 900}, ".join"},
		{"phone-farmer", farmer, looks{width: 390, height: 1200, phone: true}, ""},
		{"phone", "/", looks{width: 390, height: 1500, phone: true}, ""},
		{"phone-farmers", "/?online=1", looks{width: 390, height: 900, phone: true}, "#farmers"},
	} {
		t.Run(shot.name, func(t *testing.T) {
			v := open(t, s.url+shot.path, shot.looks)
			v.until("document.fonts.status === 'loaded' && document.querySelectorAll('[data-plot] canvas').length === document.querySelectorAll('[data-plot]').length")
			if shot.path == "/" {
				v.ready()
			}
			v.until("[...document.images].every(i => (i.loading = 'eager', i.complete && i.naturalWidth > 0))")
			params := page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatPng}
			if shot.part != "" {
				box := ask[[]float64](v, "(() => { const r = document.querySelector('"+shot.part+"').getBoundingClientRect(); return [r.x - 16, r.y + scrollY - 16, r.width + 32, Math.min(r.height, 760) + 32]; })()")
				beyond := true
				params.CaptureBeyondViewport = &beyond
				params.Clip = &page.Viewport{X: box[0], Y: box[1], Width: box[2], Height: box[3], Scale: 1}
			}
			taken, err := chromedp.Call(v.ctx, page.CaptureScreenshot, params)
			if err != nil {
				t.Fatal(err)
			}
			if len(taken.Data) < 10_000 {
				t.Errorf("the picture has %d bytes, so it is empty", len(taken.Data))
			}
			if os.Getenv("UPDATE_SCREENSHOTS") == "" {
				return
			}
			check(t, os.MkdirAll(gallery, 0o755))
			check(t, os.WriteFile(filepath.Join(gallery, shot.name+".png"), taken.Data, 0o644))
		})
	}
}
