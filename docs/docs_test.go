// Package docs holds only the documentation, and tests of it: links lead somewhere, what
// the pages name exists, and their commands run.
package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pages are what people read.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"*.md", "*/*.md", "../*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			all[file] = read(t, file)
		}
	}
	if len(all) < 30 {
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

// TestIndex checks that the index has a link to each page.
func TestIndex(t *testing.T) {
	t.Parallel()
	index := read(t, "README.md")
	for file := range pages(t) {
		if file != "README.md" && !strings.HasPrefix(file, "..") && !strings.Contains(index, "("+file) {
			t.Errorf("README.md has no link to %s", file)
		}
	}
}

// source is a path of a page in a file that is not a page.
var source = regexp.MustCompile(`docs/[A-Za-z0-9/-]+\.md(#[a-z0-9-]+)?`)

// TestPathsInSources checks that the pages that code, charts and manifests name exist.
func TestPathsInSources(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("git", "-C", "..", "grep", "-zhoIE", source.String(), "--", ".", ":!docs/*.md", ":!go.*").Output()
	if err != nil {
		t.Fatal(err)
	}
	found := strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 || r == '\n' })
	for _, path := range found {
		file, anchor, _ := strings.Cut(path, "#")
		if text, err := os.ReadFile("../" + file); err != nil {
			t.Errorf("a file names %s: %v", path, err)
		} else if anchor != "" && !anchors(string(text))[anchor] {
			t.Errorf("a file names %s, and there is no such heading", path)
		}
	}
	if len(found) < 30 {
		t.Errorf("only %d paths were found", len(found))
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

// TestDependencies compares the direct dependencies in the go.mod files with the
// modules that dependencies.md explains.
func TestDependencies(t *testing.T) {
	t.Parallel()
	required := map[string]bool{}
	for line := range strings.Lines(read(t, "../go.mod") + read(t, "../hack/go.mod") + read(t, "../hack/bundle/go.mod")) {
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
