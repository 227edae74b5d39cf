package charts

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestRunbooks checks that docs/runbooks.md has a section for each alert, at
// the address in the alert.
func TestRunbooks(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/runbooks.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range alerts(t) {
		if !strings.Contains(string(page), "\n## "+rule.Alert+"\n") {
			t.Errorf("docs/runbooks.md has no section on %s", rule.Alert)
		}
		if want := "/docs/runbooks.md#" + strings.ToLower(rule.Alert); !strings.HasSuffix(rule.Annotations["runbook_url"], want) {
			t.Errorf("%s: the runbook_url is %q, want one that ends in %s", rule.Alert, rule.Annotations["runbook_url"], want)
		}
	}
}

// TestTroubleshooting checks that docs/troubleshooting.md explains every reason of
// a condition and every event.
func TestTroubleshooting(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	words := reasons(t)
	if len(words) < 20 {
		t.Errorf("only %d words were found: %v", len(words), words)
	}
	for _, word := range words {
		if !strings.Contains(string(page), "`"+word+"`") {
			t.Errorf("docs/troubleshooting.md does not explain %s", word)
		}
	}
}

// reasons returns every reason that the operator uses: the constants whose names
// begin with Reason, and the reasons of its notes.
func reasons(t *testing.T) (all []string) {
	t.Helper()
	files, err := filepath.Glob("../../controllers/*.go")
	if err != nil {
		t.Fatal(err)
	}
	text := func(e ast.Expr) {
		if literal, ok := e.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if word, err := strconv.Unquote(literal.Value); err == nil {
				all = append(all, word)
			}
		}
	}
	for _, file := range files {
		source, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(source, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				for i, name := range n.Names {
					if strings.HasPrefix(name.Name, "Reason") && i < len(n.Values) {
						text(n.Values[i])
					}
				}
			case *ast.CallExpr:
				if method, ok := n.Fun.(*ast.SelectorExpr); ok && method.Sel.Name == "note" && len(n.Args) > 1 {
					text(n.Args[1])
				}
			}
			return true
		})
	}
	return all
}
