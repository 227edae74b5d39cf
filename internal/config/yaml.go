package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// setFromYAML sets the fields of c that the document in text names. It walks the
// document itself and does not use yaml's KnownFields. So every error can name the full
// key and its line, and a secret in the file can be rejected. It adds the line of each value
// to from.
func setFromYAML(c any, text []byte, from origins) error {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("the file holds more than one YAML document")
	}
	if len(doc.Content) == 0 || isNull(doc.Content[0]) {
		return nil
	}
	r := yamlReader{known: make(map[string]Field), from: from}
	walk(c, func(f Field) {
		if !f.inline {
			r.known[f.Key] = f
		}
	})
	r.section("", doc.Content[0])
	return errors.Join(r.problems...)
}

// yamlReader copies a YAML document into the fields of a configuration.
type yamlReader struct {
	known    map[string]Field
	from     origins
	problems []error
}

func (r *yamlReader) problem(n *yaml.Node, key, format string, args ...any) {
	r.problems = append(r.problems, fmt.Errorf("line %d: %s: %s", n.Line, key, fmt.Sprintf(format, args...)))
}

// section reads the mapping n. key is the key of its section.
func (r *yamlReader) section(key string, n *yaml.Node) {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		name := key
		if name == "" {
			name = "the file"
		}
		r.problem(n, name, "must hold keys and values")
		return
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		path := strings.TrimPrefix(key+"."+name.Value, ".")
		f, known := r.known[path]
		switch {
		case name.Kind != yaml.ScalarNode || !known || strings.Contains(name.Value, "."):
			r.problem(name, path, "no such key%s", r.suggest(key, name.Value))
		case seen[path]:
			r.problem(name, path, "is given twice")
		case f.Secret():
			r.problem(name, path, "a secret must not be in this file: write it to another file and name that with %sFile, or set %s", path, f.Env)
		case f.Section() && isNull(value): // all its keys are commented out
		case f.Section():
			r.section(path, value)
		default:
			r.value(f, value)
			r.from[path] = fmt.Sprintf("line %d", name.Line)
		}
		seen[path] = true
	}
}

// value reads n into the field f.
func (r *yamlReader) value(f Field, n *yaml.Node) {
	n = resolve(n)
	isList := f.Value.Kind() == reflect.Slice
	switch {
	case isNull(n):
		r.problem(n, f.Key, "has no value")
	case isList && n.Kind == yaml.SequenceNode:
		var elements []string
		for _, element := range n.Content {
			element = resolve(element)
			if element.Kind != yaml.ScalarNode || isNull(element) {
				r.problem(element, f.Key, "must be a list of single values")
				return
			}
			elements = append(elements, element.Value)
		}
		if err := f.setList(elements); err != nil {
			r.problem(n, f.Key, "%v", err)
		}
	case isList:
		r.problem(n, f.Key, "must be a list")
	case n.Kind != yaml.ScalarNode:
		r.problem(n, f.Key, "must be a single value")
	default:
		if err := f.setText(n.Value); err != nil {
			r.problem(n, f.Key, "%v", err)
		}
	}
}

// suggest returns a hint with the section's key that is most similar to name, or "".
func (r *yamlReader) suggest(section, name string) string {
	const longest = 64 // a longer name is not a misspelling
	if len(name) > longest {
		return ""
	}
	best, nearest := "", 1+max(1, len(name)/3)
	for key := range r.known {
		rest, inside := strings.CutPrefix(key, section+".")
		if section == "" {
			rest, inside = key, true
		}
		if !inside || strings.Contains(rest, ".") {
			continue
		}
		d := distance(strings.ToLower(name), strings.ToLower(rest))
		if d < nearest || d == nearest && best != "" && key < best {
			best, nearest = key, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// distance returns the Levenshtein distance of a and b, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitution := diagonal
			if a[i] != b[j] {
				substitution++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitution, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}

func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}
