package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/driveshare/downstream-node/internal/config"
)

const head = `<!-- Made by go generate in internal/config. Change the comments there, not this file. -->

# Configuration

A node reads one YAML file, named with ` + "`--config`" + `. Every value can also be set by
an environment variable, which wins over the file; an empty variable counts as
absent. A key that is not known, is given twice or has no value is an error that
names it.

Secrets are never read from this file. Put one into a file of its own and name
that file with the key that ends in ` + "`File`" + `, or set the variable; where both are
there, the variable wins. ` + "`downstream-node config`" + ` prints what a process would run
with, secrets masked.

| type | written as |
|---|---|
| duration | a number with a unit: ` + "`300ms`, `20s`, `5m`, `1h30m`" + ` |
| size | bytes as a plain number, or with a unit: ` + "`32768`, `32KiB`, `1GiB`" + ` (powers of 1024), ` + "`1GB`" + ` (powers of 1000) |
| list | a YAML list; in the environment, separated by commas |
| secret | text, only from a file of its own or the environment |
`

// render makes the page from the defaults and from the comments in the Go
// files of the directory dir.
func render(dir string) ([]byte, error) {
	comments, err := fieldComments(dir)
	if err != nil {
		return nil, err
	}
	c := config.Default()
	rows := make(map[string][]config.Field)
	for _, f := range config.Fields(&c) {
		section := f.Key[:strings.LastIndexByte(f.Key, '.')]
		rows[section] = append(rows[section], f)
	}
	var page bytes.Buffer
	page.WriteString(head)
	for _, section := range config.Sections(&c) {
		comment, err := comments.of(section)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&page, "\n## %s\n\n%s\n", section.Key, comment)
		if len(rows[section.Key]) == 0 {
			continue
		}
		page.WriteString("\n| key | variable | type | default | what it does |\n|---|---|---|---|---|\n")
		for _, f := range rows[section.Key] {
			comment, err := comments.of(f)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(&page, "| `%s` | `%s` | %s | %s | %s |\n", f.Key, f.Env, typeName(f), defaultText(f), comment)
		}
	}
	return page.Bytes(), nil
}

// comments holds the comment of each struct field, by "Struct.Field".
type comments map[string]string

func (c comments) of(f config.Field) (string, error) {
	comment := c[f.Struct+"."+f.Name]
	if comment == "" {
		return "", fmt.Errorf("the field %s.%s has no comment", f.Struct, f.Name)
	}
	return comment, nil
}

func fieldComments(dir string) (comments, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	found := make(comments)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if structure, ok := spec.Type.(*ast.StructType); ok {
				for _, field := range structure.Fields.List {
					for _, name := range field.Names {
						found[spec.Name.Name+"."+name.Name] = oneLine(field.Doc.Text())
					}
				}
			}
			return false
		})
	}
	return found, nil
}

// oneLine fits a comment into a cell of a table.
func oneLine(comment string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(comment), " "), "|", `\|`)
}

func typeName(f config.Field) string {
	switch f.Value.Interface().(type) {
	case time.Duration:
		return "duration"
	case config.ByteSize:
		return "size"
	case config.Secret:
		return "secret"
	case slog.Level:
		return "text"
	case []netip.Prefix:
		return "list of networks"
	}
	switch f.Value.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Float64:
		return "number"
	case reflect.Slice:
		return "list"
	case reflect.String:
		return "text"
	}
	panic("gen: no name for a " + f.Value.Type().String())
}

func defaultText(f config.Field) string {
	var text string
	switch v := f.Value.Interface().(type) {
	case time.Duration:
		text = durationText(v)
	case slog.Level:
		text = strings.ToLower(v.String())
	default:
		if (f.Value.Kind() == reflect.String || f.Value.Kind() == reflect.Slice) && f.Value.Len() == 0 {
			return "none"
		}
		text = fmt.Sprint(v)
	}
	return "`" + text + "`"
}

// durationText is d as a person would write it: 5m, not 5m0s.
func durationText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
