package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	metricsPath  = "docs/reference/metrics.md"
	metricsBegin = "<!-- make generate: begin -->\n"
	metricsEnd   = "<!-- make generate: end -->\n"
)

// metricsPage replaces the generated list in docs/reference/metrics.md.
func metricsPage() ([]byte, error) {
	page, err := os.ReadFile(filepath.Join(root, metricsPath))
	if err != nil {
		return nil, err
	}
	before, rest, found := bytes.Cut(page, []byte(metricsBegin))
	_, after, ended := bytes.Cut(rest, []byte(metricsEnd))
	if !found || !ended {
		return nil, errors.New("the lines that enclose the list of metrics are missing")
	}
	metrics, err := findMetrics(root)
	if err != nil {
		return nil, err
	}
	var list bytes.Buffer
	list.WriteString("\n| metric | meaning |\n|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		fmt.Fprintf(&list, "| `%s` | %s |\n", name, cell(metrics[name]))
	}
	list.WriteString("\n")
	return slices.Concat(before, []byte(metricsBegin), list.Bytes(), []byte(metricsEnd), after), nil
}

// findMetrics returns the help of every metric in the project's source, by the metric's
// name. A process exports a metric with labels only after its first use, so it cannot be
// asked for them.
func findMetrics(root string) (map[string]string, error) {
	metrics := map[string]string{}
	for _, folder := range []string{"apiserver", "controllers", "internal", "workers"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for n := range ast.Preorder(file) {
				addMetric(metrics, n)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return metrics, nil
}

var metricName = regexp.MustCompile(`^downstream_[a-z0-9_]+$`)

// addMetric adds a metric if n is a call with the metric's name and then its help as
// arguments, or a struct literal with the fields Name and Help.
func addMetric(metrics map[string]string, n ast.Node) {
	var name, help string
	switch n := n.(type) {
	case *ast.CallExpr:
		for i, arg := range n.Args[:max(len(n.Args)-1, 0)] {
			if text := literal(arg); metricName.MatchString(text) {
				name, help = text, literal(n.Args[i+1])
			}
		}
	case *ast.CompositeLit:
		for _, element := range n.Elts {
			field, ok := element.(*ast.KeyValueExpr)
			if !ok {
				continue
			}
			switch key, _ := field.Key.(*ast.Ident); {
			case key == nil:
			case key.Name == "Name":
				name = literal(field.Value)
			case key.Name == "Help":
				help = literal(field.Value)
			}
		}
	}
	if metricName.MatchString(name) && help != "" {
		metrics[name] = help
	}
}

// literal returns the text of a string literal, or of the literals in a sum of strings.
func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value) // a number is no text
		return text
	case *ast.BinaryExpr:
		return literal(e.X) + literal(e.Y)
	}
	return ""
}
