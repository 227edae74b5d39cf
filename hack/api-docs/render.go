package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

const head = "# The API\n\n" +
	"Made by `hack/api-docs` from the OpenAPI description that a node serves as `openapi.json` and `openapi.yaml`; edit\n" +
	"`apiserver/openapi/openapi.yaml`. What farmers and node say to each other byte for byte is in [PROTOCOL.md](PROTOCOL.md).\n\n"

// methods are the words that can begin an operation, in the order to tell them.
var methods = []string{"get", "post", "put", "delete"}

// render is the whole page.
func render(description []byte) ([]byte, error) {
	doc, err := parse(description)
	if err != nil {
		return nil, err
	}
	p := &page{doc: doc}
	p.WriteString(head)
	p.paragraphs(doc.at("info", "description"))
	for _, server := range doc.at("servers").items() {
		fmt.Fprintf(p, "- `%s`: %s\n", server.at("url").text(), server.at("description").text())
	}
	for _, tag := range doc.at("tags").items() {
		p.heading("## " + tag.at("name").text())
		p.paragraphs(tag.at("description"))
		p.operations(tag.at("name").text())
	}
	p.heading("## What is in the answers")
	for _, s := range doc.at("components", "schemas").fields() {
		if compound(s.node) {
			p.heading("### " + s.name)
			p.schema(s.node)
		}
	}
	return append(bytes.TrimRight(p.Bytes(), "\n"), '\n'), nil
}

type page struct {
	bytes.Buffer
	doc node
}

// heading stands apart by one empty line.
func (p *page) heading(text string) {
	p.Truncate(len(bytes.TrimRight(p.Bytes(), "\n")))
	fmt.Fprintf(p, "\n\n%s\n\n", text)
}

// paragraphs keeps what stands apart apart.
func (p *page) paragraphs(n node) {
	if !n.there() {
		return
	}
	for text := range strings.SplitSeq(strings.TrimSpace(n.yaml.Value), "\n\n") {
		fmt.Fprintf(p, "%s\n\n", strings.Join(strings.Fields(text), " "))
	}
}

// operations are those of a tag. A path that is another form of one stands
// with that.
func (p *page) operations(tag string) {
	for _, path := range p.doc.at("paths").fields() {
		for _, method := range methods {
			op := path.at(method)
			if op.there() && op.at("tags").items()[0].text() == tag && !path.at("x-form-of").there() {
				p.operation(strings.ToUpper(method), path, op)
			}
		}
	}
}

func (p *page) operation(method string, path field, op node) {
	p.heading("### " + method + " " + path.name)
	fmt.Fprintf(p, "%s.\n\n", op.at("summary").text())
	p.paragraphs(op.at("description"))
	parameters := slices.Concat(path.at("parameters").items(), op.at("parameters").items())
	var forms []string
	for _, other := range p.doc.at("paths").fields() {
		if other.at("x-form-of").text() != path.name || !other.at(strings.ToLower(method)).there() {
			continue
		}
		forms = append(forms, "`"+other.name+"`")
		for _, q := range other.at("parameters").items() {
			if !slices.ContainsFunc(parameters, func(n node) bool { return n.at("name").text() == q.at("name").text() }) {
				parameters = append(parameters, q)
			}
		}
	}
	if len(forms) > 0 {
		fmt.Fprintf(p, "Also: %s.\n\n", strings.Join(forms, ", "))
	}
	p.parameters(parameters)
	if body := op.at("requestBody", "content", "application/json", "schema"); body.there() {
		p.WriteString("The request's body:\n\n")
		p.schema(body)
	}
	p.answers(op.at("responses"))
}

func (p *page) parameters(all []node) {
	if len(all) == 0 {
		return
	}
	p.WriteString("| parameter | in | type | meaning |\n|---|---|---|---|\n")
	for _, q := range all {
		kind := kind(q.at("schema"))
		if otherwise := q.at("schema", "default"); otherwise.there() {
			kind += ", else `" + otherwise.text() + "`"
		}
		fmt.Fprintf(p, "| `%s` | %s | %s | %s |\n", q.at("name").text(), q.at("in").text(), cell(kind), cell(q.description()))
	}
	p.WriteString("\n")
}

// answers leaves out the one that every operation has.
func (p *page) answers(responses node) {
	p.WriteString("| answer | body | meaning |\n|---|---|---|\n")
	for _, r := range responses.fields() {
		if r.name == "default" {
			continue
		}
		body := "none"
		for _, content := range r.at("content").fields() {
			body = kind(content.at("schema"))
		}
		meaning := r.description()
		for _, h := range r.at("headers").fields() {
			meaning += " `" + h.name + "`: " + h.description()
		}
		fmt.Fprintf(p, "| %s | %s | %s |\n", r.name, cell(body), cell(meaning))
	}
}

// compound says whether a schema needs a section of its own.
func compound(s node) bool { return s.at("properties").there() || s.at("oneOf").there() }

// schema is a table of an object's members, or of each of the forms it has.
func (p *page) schema(s node) {
	if d := s.description(); d != "" {
		fmt.Fprintf(p, "%s\n\n", d)
	}
	if forms := s.at("oneOf").items(); len(forms) > 0 {
		for _, form := range forms {
			if form.at("properties").there() {
				fmt.Fprintf(p, "%s:\n\n", capital(title(form)))
				p.schema(form)
			} else {
				fmt.Fprintf(p, "%s: %s\n\n", capital(title(form)), kind(form))
			}
		}
		return
	}
	p.WriteString("| member | type | meaning |\n|---|---|---|\n")
	for _, m := range s.at("properties").fields() {
		fmt.Fprintf(p, "| `%s` | %s | %s |\n", m.name, cell(kind(m.node)), cell(m.description()))
	}
	p.WriteString("\n")
}

func title(form node) string {
	if t := form.at("title").text(); t != "" {
		return t
	}
	return "or"
}

// kind says in short what a value can be.
func kind(s node) string {
	if ref := s.reference(); ref != "" && compound(s.followed()) {
		name := ref[strings.LastIndex(ref, "/")+1:]
		return "[" + name + "](#" + strings.ToLower(name) + ")"
	}
	switch {
	case s.at("const").there():
		return "`\"" + s.at("const").text() + "\"`"
	case len(s.at("enum").items()) > 0:
		return join(s.at("enum").items(), ", ", func(n node) string { return "`" + n.text() + "`" })
	case len(s.at("oneOf").items()) > 0:
		return join(s.at("oneOf").items(), ", or ", kind)
	case s.at("items").there():
		return "list of " + kind(s.at("items"))
	case s.at("properties").there():
		var members []string
		for _, m := range s.at("properties").fields() {
			members = append(members, "`"+m.name+"`: "+kind(m.node))
		}
		return "{" + strings.Join(members, ", ") + "}"
	case len(s.at("type").items()) > 5:
		return "any"
	case len(s.at("type").items()) > 0:
		return join(s.at("type").items(), " or ", node.text)
	case s.at("contentEncoding").there():
		return s.at("contentEncoding").text()
	case s.at("format").text() == "date":
		return "date"
	}
	return s.at("type").text()
}

func join(all []node, separator string, say func(node) string) string {
	words := make([]string, len(all))
	for i, n := range all {
		words[i] = say(n)
	}
	return strings.Join(words, separator)
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
