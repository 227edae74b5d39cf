//go:build browser

package browser

import (
	"fmt"
	"os"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/driveshare/downstream-node/apiserver/page/pagetest"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/roster"
)

// fault is a fault that axe finds.
type fault struct {
	ID, Impact, Help string
	Nodes            []struct {
		HTML           string
		FailureSummary string
	}
}

// axe must find no serious or critical fault.
func TestAccessible(t *testing.T) {
	t.Parallel()
	path := os.Getenv("AXE")
	if path == "" {
		t.Fatal("AXE must name the file of axe-core: run make test-browser")
	}
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, 1200)
	suspend(s, node.Suspension{Since: pagetest.Now, By: node.ByOperator, Reason: "a reason"})
	for name, l := range map[string]looks{"light": desktop, "dark": dark, "phone": phone} {
		for _, path := range []string{"/", "/?q=nobody", "/history", "/farmer/" + firstID(s), "/farmer/none"} {
			t.Run(name+path, func(t *testing.T) {
				v := open(t, "about:blank", l)
				v.host = s.url[len("http://"):]
				v.tolerate("404")
				v.do(chromedp.Navigate(s.url + path))
				if path == "/" {
					v.ready()
				}
				ask[any](v, string(source)+"; null")
				for _, f := range ask[[]fault](v, "axe.run().then((r) => r.violations.map((v) => ({ id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.map((n) => ({ html: n.html, failureSummary: n.failureSummary })) })))") {
					report := t.Logf
					if f.Impact == "serious" || f.Impact == "critical" {
						report = t.Errorf
					}
					report("%s: %s: %s\n%s", f.Impact, f.ID, f.Help, first(f))
				}
			})
		}
	}
}

func first(f fault) string {
	if len(f.Nodes) == 0 {
		return ""
	}
	return fmt.Sprintf("%d of them, such as %s\n%s", len(f.Nodes), f.Nodes[0].HTML, f.Nodes[0].FailureSummary)
}

func firstID(s *site) string { return s.List(roster.Query{})[0].ID }
