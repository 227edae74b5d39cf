package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

type schema = apiextensionsv1.JSONSchemaProps

const head = "# The DownstreamNode\n\n" +
	"Every field of `%s`, kind `%s`, short name `%s`. Made by `hack/crd-docs`; edit the comments in `api/v1alpha1`.\n" +
	"On a cluster, `kubectl explain dn.spec --recursive` says the same.\n"

// render is the whole page.
func render(crd *apiextensionsv1.CustomResourceDefinition) []byte {
	version := crd.Spec.Versions[0]
	var out bytes.Buffer
	fmt.Fprintf(&out, head, crd.Spec.Group+"/"+version.Name, crd.Spec.Names.Kind, strings.Join(crd.Spec.Names.ShortNames, ", "))
	root := version.Schema.OpenAPIV3Schema
	for _, part := range []string{"spec", "status"} {
		section(&out, part, root.Properties[part])
	}
	return out.Bytes()
}

// section is an object's own fields as a table, and then each object within it.
func section(out *bytes.Buffer, path string, s schema) {
	fmt.Fprintf(out, "\n## %s\n\n%s\n", path, oneLine(s.Description))
	for _, rule := range s.XValidations {
		if rule.Message != "" {
			fmt.Fprintf(out, "\n- %s\n", oneLine(rule.Message))
		}
	}
	out.WriteString("\n| field | type | default | meaning |\n|---|---|---|---|\n")
	names := sorted(s.Properties)
	for _, name := range names {
		field := s.Properties[name]
		fmt.Fprintf(out, "| `%s` | %s | %s | %s |\n", name, kind(field), byDefault(s, name), meaning(field))
	}
	for _, name := range names {
		field := s.Properties[name]
		if inner, suffix := object(field); inner != nil && !foreign(path+"."+name) {
			section(out, path+"."+name+suffix, *inner)
		}
	}
}

// foreign says whether an object's fields are Kubernetes' own, and described by it.
func foreign(path string) bool {
	for _, theirs := range []string{"spec.pods.affinity", "spec.pods.tolerations", "spec.pods.topologySpreadConstraints", "status.conditions"} {
		if path == theirs {
			return true
		}
	}
	return false
}

// object is what has fields of its own in a field, and how its path goes on.
func object(s schema) (inner *schema, suffix string) {
	switch {
	case len(s.Properties) > 0:
		return &s, ""
	case s.Items != nil && s.Items.Schema != nil && len(s.Items.Schema.Properties) > 0:
		return s.Items.Schema, "[]"
	}
	return nil, ""
}

func kind(s schema) string {
	switch {
	case len(s.Enum) > 0:
		values := make([]string, len(s.Enum))
		for i, value := range s.Enum {
			values[i] = "`" + strings.Trim(string(value.Raw), `"`) + "`"
		}
		return strings.Join(values, ", ")
	case s.XIntOrString:
		return "quantity"
	case s.Type == "array" && s.Items != nil && s.Items.Schema != nil:
		return "list of " + kind(*s.Items.Schema)
	case s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil:
		return "map of " + kind(*s.AdditionalProperties.Schema)
	case s.Type == "integer" && s.Minimum != nil && s.Maximum != nil:
		return fmt.Sprintf("%.0f to %.0f", *s.Minimum, *s.Maximum)
	}
	return s.Type
}

// byDefault is the default of a field of s. That of an object stands with its
// own fields.
func byDefault(s schema, name string) string {
	field := s.Properties[name]
	switch {
	case slices.Contains(s.Required, name):
		return "required"
	case field.Default == nil || string(field.Default.Raw) == "{}":
		return ""
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, field.Default.Raw); err != nil {
		return string(field.Default.Raw)
	}
	return "`" + strings.Trim(compact.String(), `"`) + "`"
}

func meaning(s schema) string {
	text := oneLine(s.Description)
	for _, rule := range s.XValidations {
		if message := oneLine(rule.Message); message != "" && isPlain(s) {
			text += " *" + strings.ToUpper(message[:1]) + message[1:] + ".*"
		}
	}
	return strings.ReplaceAll(text, "|", `\|`)
}

// isPlain says whether the rules of a field stand with it, for want of a
// section of its own.
func isPlain(s schema) bool { return len(s.Properties) == 0 }

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func sorted(properties map[string]schema) []string {
	names := make([]string, 0, len(properties))
	for name := range properties {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
