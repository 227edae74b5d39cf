package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

func main() {
	if err := sync("../.."); err != nil {
		fmt.Fprintln(os.Stderr, "chart-sync:", err)
		os.Exit(1)
	}
}

// sync makes the chart's files anew in the repository at root.
func sync(root string) error {
	templates := filepath.Join(root, "charts/downstream-node/templates")
	crd, err := os.ReadFile(filepath.Join(root, "config/crd/bases/downstream.driveshare.org_downstreamnodes.yaml"))
	if err != nil {
		return err
	}
	template, err := crdTemplate(crd)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(templates, "crd.yaml"), template, 0o666); err != nil {
		return err
	}
	roles, err := filepath.Glob(filepath.Join(root, "config/rbac/*.yaml"))
	if err != nil {
		return err
	}
	rules, err := ruleTemplates(roles)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(templates, "_rules.tpl"), rules, 0o666)
}

const generated = "{{/* Made by hack/chart-sync from %s. Do not edit. */}}\n"

// crdTemplate wraps a CRD in the values that are about it.
func crdTemplate(crd []byte) ([]byte, error) {
	crd = bytes.TrimPrefix(crd, []byte("---\n"))
	if bytes.Contains(crd, []byte("{{")) {
		return nil, fmt.Errorf("the CRD holds {{, which Helm would take for its own")
	}
	before, after, ok := bytes.Cut(crd, []byte("metadata:\n  annotations:\n"))
	if !ok {
		return nil, fmt.Errorf("the CRD has no annotations where controller-gen puts them")
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, generated, "config/crd")
	out.WriteString("{{- if .Values.crds.enabled }}\n")
	out.Write(before)
	out.WriteString("metadata:\n" +
		"  labels:\n" +
		"    {{- include \"downstream-node.labels\" . | nindent 4 }}\n" +
		"  annotations:\n" +
		"    {{- if .Values.crds.keep }}\n" +
		"    helm.sh/resource-policy: keep\n" +
		"    {{- end }}\n")
	out.Write(after)
	out.WriteString("{{- end }}\n")
	return out.Bytes(), nil
}

// ruleTemplates is a named template for the rules of each role of the files,
// which may hold other things too.
func ruleTemplates(files []string) ([]byte, error) {
	type role struct {
		Kind     string
		Metadata struct{ Name string }
		Rules    []any
	}
	var roles []role
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
			var r role
			if err := yaml.Unmarshal(document, &r); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			if r.Kind == "Role" || r.Kind == "ClusterRole" {
				roles = append(roles, r)
			}
		}
	}
	slices.SortFunc(roles, func(a, b role) int { return strings.Compare(a.Metadata.Name, b.Metadata.Name) })
	var out bytes.Buffer
	fmt.Fprintf(&out, generated, "config/rbac")
	for _, r := range roles {
		rules, err := yaml.Marshal(r.Rules)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&out, "\n{{- define \"downstream-node.rules.%s\" -}}\n%s{{- end -}}\n", r.Metadata.Name, rules)
	}
	return out.Bytes(), nil
}
