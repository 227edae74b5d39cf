package architecture

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/driveshare/downstream-node/"

// graph maps each package to its direct imports, without the imports of its tests.
type graph map[string][]string

// reach returns pkg and all packages that it imports, directly or indirectly.
func (g graph) reach(pkg string) []string {
	seen := map[string]bool{}
	var all []string
	var visit func(string)
	visit = func(p string) {
		if seen[p] {
			return
		}
		seen[p] = true
		all = append(all, p)
		for _, next := range g[p] {
			visit(next)
		}
	}
	visit(pkg)
	return all
}

// A rule forbids imports: a package below one of the roots in from must not import
// a package below one of the roots in to.
type rule struct {
	name   string
	from   []string
	to     []string
	direct bool     // the rule covers only direct imports
	except []string // packages below from to which the rule does not apply
}

var programs = []string{module + "cmd/downstream-node", module + "cmd/downstream-operator", module + "cmd/kubectl-downstream"}

var rules = []rule{
	{
		name: "the node program does not need Kubernetes",
		from: []string{module + "cmd/downstream-node"},
		to:   []string{"k8s.io", "sigs.k8s.io"},
	},
	{
		name:   "internal does not depend on the packages that use it",
		from:   []string{module + "internal"},
		to:     []string{module + "apiserver", module + "workers", module + "controllers", module + "cmd"},
		direct: true,
		except: []string{
			module + "internal/app",              // wires the API and the workers into a node
			module + "internal/testenv/testnode", // runs that node in tests
		},
	},
	{
		name:   "heartbeat is a library",
		from:   []string{module + "heartbeat"},
		to:     []string{strings.TrimSuffix(module, "/")},
		direct: true,
	},
	{
		name:   "api is a library",
		from:   []string{module + "api"},
		to:     []string{strings.TrimSuffix(module, "/")},
		direct: true,
	},
	{
		name: "the domain does not do input or output",
		from: []string{module + "internal/node"},
		to:   []string{module + "internal/store", module + "internal/queue", module + "internal/redisdb", "net/http"},
	},
	{
		name: "programs hold nothing that only tests or tools need",
		from: programs,
		to: []string{
			"testing", module + "internal/testenv", module + "test", module + "hack",
			"github.com/chromedp", "github.com/prometheus/prometheus", "github.com/google/go-containerregistry",
			"github.com/getkin/kin-openapi", "github.com/maxmind/mmdbwriter", "go.uber.org/goleak",
		},
	},
}

// broken returns the imports in g that break the rule, as "package -> import".
func (r rule) broken(g graph) (list []string) {
	for pkg := range g {
		if !below(pkg, r.from) || slices.Contains(r.except, pkg) {
			continue
		}
		imports := g[pkg]
		if !r.direct {
			imports = g.reach(pkg)[1:]
		}
		for _, to := range imports {
			// Packages below the same root may import one another.
			if below(to, r.to) && !below(to, r.from) {
				list = append(list, pkg+" -> "+to)
			}
		}
	}
	slices.Sort(list)
	return list
}

// below reports whether pkg is one of the roots or is inside one of them.
func below(pkg string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return pkg == root || strings.HasPrefix(pkg, root+"/")
	})
}

// load reads the graph of the module and of everything that it imports.
func load(t *testing.T) graph {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports", "../../...").Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	g := graph{}
	for lines := json.NewDecoder(bytes.NewReader(out)); ; {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		if err := lines.Decode(&pkg); err == io.EOF {
			return g
		} else if err != nil {
			t.Fatal(err)
		}
		g[pkg.ImportPath] = pkg.Imports
	}
}

func TestImports(t *testing.T) {
	t.Parallel()
	g := load(t)
	for _, program := range programs {
		if len(g.reach(program)) < 100 {
			t.Errorf("%s imports only %d packages, so it may no longer be a program; check the list of programs", program, len(g.reach(program)))
		}
	}
	for _, r := range rules {
		for _, broken := range r.broken(g) {
			t.Errorf("%s: %s", r.name, broken)
		}
		for _, pkg := range r.except {
			if _, ok := g[pkg]; !ok {
				t.Errorf("%s: the exception %s does not exist", r.name, pkg)
			}
		}
	}
}

// TestRulesCanFail checks that each rule reports each import that it forbids.
func TestRulesCanFail(t *testing.T) {
	t.Parallel()
	for _, r := range rules {
		for _, from := range r.from {
			for _, to := range r.to {
				pkg, forbidden := from+"/inner", to+"/inner"
				g := graph{pkg: {"fmt", forbidden}}
				want := []string{pkg + " -> " + forbidden}
				if got := r.broken(g); !slices.Equal(got, want) {
					t.Errorf("%s: %v, want %v", r.name, got, want)
				}
				if r.direct {
					continue
				}
				g = graph{from: {"between"}, "between": {to}}
				want = []string{from + " -> " + to}
				if got := r.broken(g); !slices.Equal(got, want) {
					t.Errorf("%s, through another package: %v, want %v", r.name, got, want)
				}
			}
		}
		for _, pkg := range r.except {
			if got := r.broken(graph{pkg: {r.to[0]}}); len(got) > 0 {
				t.Errorf("%s: the exception is reported: %v", r.name, got)
			}
		}
	}
}
