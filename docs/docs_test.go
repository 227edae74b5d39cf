// Package docs holds nothing but the documentation, and the tests that keep it
// from naming what is not there.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pages are what people read.
func pages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, file := range append(files, "../README.md") {
		all[file] = read(t, file)
	}
	if len(all) < 10 {
		t.Fatalf("only %d pages", len(all))
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	noSlug  = regexp.MustCompile(`[^\w\- ]`)
	target  = regexp.MustCompile("(?m)(?:`|^)make ([a-z0-9-]+)")
)

// anchors are the places of a page that a link can name.
func anchors(page string) map[string]bool {
	found := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(page, -1) {
		found[strings.ReplaceAll(noSlug.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-")] = true
	}
	return found
}

func TestLinks(t *testing.T) {
	t.Parallel()
	for file, page := range pages(t) {
		for _, l := range link.FindAllStringSubmatch(page, -1) {
			path, anchor, _ := strings.Cut(l[1], "#")
			if strings.Contains(path, ":") {
				continue // elsewhere
			}
			there := file
			if path != "" {
				there = filepath.Join(filepath.Dir(file), path)
			}
			if _, err := os.Stat(there); err != nil {
				t.Errorf("%s: a link to %s: %v", file, l[1], err)
			} else if anchor != "" && !anchors(read(t, there))[anchor] {
				t.Errorf("%s: a link to %s, and there is no such heading", file, l[1])
			}
		}
	}
}

func TestMakeTargets(t *testing.T) {
	t.Parallel()
	makefile := read(t, "../Makefile")
	for file, page := range pages(t) {
		for _, m := range target.FindAllStringSubmatch(page, -1) {
			if !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("%s: there is no make %s", file, m[1])
			}
		}
	}
}

// TestDependencies compares the direct dependencies in both go.mod files with the
// modules that dependencies.md explains.
func TestDependencies(t *testing.T) {
	t.Parallel()
	required := map[string]bool{}
	for line := range strings.Lines(read(t, "../go.mod") + read(t, "../hack/go.mod")) {
		if fields := strings.Fields(line); len(fields) == 2 && strings.HasPrefix(fields[1], "v") && fields[0] != "github.com/driveshare/downstream-node" {
			required[fields[0]] = true
		}
	}
	page := read(t, "dependencies.md")
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`([a-z0-9.]+\\.[a-z]+/[^`]+)`").FindAllStringSubmatch(page, -1) {
		named[m[1]] = true
	}
	for module := range required {
		family, _, _ := strings.Cut(module, "/")
		if !named[module] && !named[family+"/*"] {
			t.Errorf("dependencies.md does not explain %s", module)
		}
	}
	for module := range named {
		if !required[module] && !strings.HasSuffix(module, "/*") {
			t.Errorf("dependencies.md explains %s, which no go.mod requires", module)
		}
	}
	if len(required) < 20 {
		t.Errorf("only %d modules were found", len(required))
	}
}
