package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// node is a value in the OpenAPI description. It keeps the order of its members.
// The zero node is a missing value.
type node struct {
	yaml *yaml.Node
	root *yaml.Node
}

func parse(text []byte) (node, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return node{}, fmt.Errorf("read the description: %w", err)
	}
	return node{doc.Content[0], doc.Content[0]}, nil
}

// field is a member of a mapping.
type field struct {
	name string
	node
}

// fields returns the members of a mapping. Members that "<<" merges come first.
func (n node) fields() []field {
	var all []field
	put := func(name string, value *yaml.Node) {
		f := field{name, node{plain(value), n.root}}
		if i := slices.IndexFunc(all, func(f field) bool { return f.name == name }); i >= 0 {
			all[i] = f
			return
		}
		all = append(all, f)
	}
	if n.yaml == nil || n.yaml.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.yaml.Content); i += 2 {
		key, value := n.yaml.Content[i], n.yaml.Content[i+1]
		if key.Value == "<<" {
			for _, f := range (node{plain(value), n.root}).fields() {
				put(f.name, f.yaml)
			}
			continue
		}
		put(key.Value, value)
	}
	return all
}

// items returns the elements of a sequence.
func (n node) items() []node {
	if n.yaml == nil || n.yaml.Kind != yaml.SequenceNode {
		return nil
	}
	var all []node
	for _, value := range n.yaml.Content {
		all = append(all, node{plain(value), n.root})
	}
	return all
}

// at returns the value at a path of names. It follows the references on the path.
func (n node) at(names ...string) node {
	for _, name := range names {
		n = n.followed().own(name)
	}
	return n
}

// own returns a member of n. It does not follow references.
func (n node) own(name string) node {
	all := n.fields()
	if i := slices.IndexFunc(all, func(f field) bool { return f.name == name }); i >= 0 {
		return all[i].node
	}
	return node{}
}

// text returns a scalar in one line.
func (n node) text() string {
	if n.yaml == nil {
		return ""
	}
	return oneLine(n.yaml.Value)
}

func (n node) exists() bool { return n.yaml != nil }

// reference returns the target of a "$ref", or "" if n is not a reference.
func (n node) reference() string { return n.own("$ref").text() }

// followed returns the value that n refers to. If n is not a reference, it returns
// n.
func (n node) followed() node {
	ref := n.reference()
	if ref == "" {
		return n
	}
	return node{n.root, n.root}.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
}

// description returns the description of n. If n has none, it returns the
// description of the value that n refers to.
func (n node) description() string { return cmp.Or(n.own("description"), n.at("description")).text() }

func plain(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
