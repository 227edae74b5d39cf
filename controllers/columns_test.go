package controllers_test

import (
	"strings"
	"testing"
)

// TestPrinterColumns checks the columns that kubectl prints for a node with a complete
// status.
func TestPrinterColumns(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "api: {ingress: {host: farm.example.org}}\nworkers: {replicas: 3}")
	f.backlog = 12
	f.bringUp()
	columns := func(args ...string) [2][]string {
		t.Helper()
		out := kubectl(t, "", append([]string{"get", "dn", "node", "-n", f.namespace}, args...)...)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if len(lines) != 2 {
			t.Fatalf("kubectl printed %q", out)
		}
		return [2][]string{strings.Fields(lines[0]), strings.Fields(lines[1])}
	}
	compare := func(got [2][]string, headings, values string) {
		t.Helper()
		if g := strings.Join(got[0], " "); g != headings {
			t.Errorf("the headings are %s, want %s", g, headings)
		}
		// The age depends on the clock.
		if g := strings.Join(got[1][:len(got[1])-1], " "); g != values {
			t.Errorf("the values are %s, want %s", g, values)
		}
	}
	compare(columns(), "NAME READY REASON API WORKERS BACKLOG PAUSED AGE", "node True FarmersCanFarm 2 3 12 False")
	compare(columns("-o", "wide"), "NAME READY REASON API WORKERS BACKLOG PAUSED DESIRED AVAILABLE DEGRADED URL AGE",
		"node True FarmersCanFarm 2 3 12 False 3 True False http://farm.example.org")
}
