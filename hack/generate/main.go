// Command generate writes the files that are made from other files of the
// repository:
//
//   - docs/reference/api.md, the reference of the HTTP API, from its OpenAPI description
//     apiserver/openapi/openapi.yaml,
//   - the version v1alpha1 in the CustomResourceDefinition of the DownstreamNode,
//   - docs/reference/crd.md, the reference of the DownstreamNode, from its
//     CustomResourceDefinition (its texts are the comments in api/v1),
//   - docs/reference/commands.md, the help of every command,
//   - the list of metrics in docs/reference/metrics.md, from the source,
//   - two templates of the Helm chart, from config/, so that an operator has the
//     same CRD and the same rights whether Helm or kustomize installed it.
//
// `make generate` runs it after controller-gen, which fills config/.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

//go:generate go run .

// root is the repository, from this directory.
const root = "../.."

func main() {
	pages, err := generate()
	for path, page := range pages {
		if err == nil {
			err = os.WriteFile(filepath.Join(root, path), page, 0o666)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// generate returns the content of every generated file, by its path.
func generate() (map[string][]byte, error) {
	pages := map[string][]byte{}
	for path, build := range map[string]func() ([]byte, error){
		"docs/reference/api.md":      apiPage,
		"docs/reference/commands.md": commandsPage,
		"docs/reference/crd.md":      crdPage,
		metricsPath:                  metricsPage,
		crdPath:                      crdFile,
		"charts/downstream-node/templates/crd.yaml":   crdTemplate,
		"charts/downstream-node/templates/_rules.tpl": ruleTemplates,
	} {
		page, err := build()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		pages[path] = page
	}
	return pages, nil
}

// oneLine joins the lines of a text.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// cell escapes a text for a cell of a Markdown table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// capital makes the first letter of a text a capital.
func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
