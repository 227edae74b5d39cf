// Command gen writes docs/reference/configuration.md, the reference of the configuration,
// from the fields of [app.Config] and their comments. go generate runs it in
// internal/config.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/config"
)

func main() {
	out := flag.String("o", "", "the file to write")
	flag.Parse()
	page, err := render("../..")
	if err == nil {
		err = os.WriteFile(*out, page, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// module is the path of the project's module.
const module = "github.com/driveshare/downstream-node/"

const head = `<!-- Made by go generate in internal/config from the comments on the Config structs. Change those, not this file. -->

# Configuration

A node reads one YAML file, named with ` + "`--config`" + `. Every value can also be set by
an environment variable, which overrides the file; an empty variable counts as
absent. An unknown key, a repeated key or a key without a value is an error that
names it.

A secret must not be in this file. Write it to another file and name that file
with the key that ends in ` + "`File`" + `, or set the variable; the variable overrides the
file. ` + "`downstream-node config`" + ` prints the configuration of a process with all
secrets masked.

| type | written as |
|---|---|
| duration | a number with a unit: ` + "`300ms`, `20s`, `5m`, `1h30m`" + ` |
| size | bytes as a plain number, or with a unit: ` + "`32768`, `32KiB`, `1GiB`" + ` (powers of 1024), ` + "`1GB`" + ` (powers of 1000) |
| fraction | a number such as ` + "`0.01`" + `, or a percentage such as ` + "`1%`" + ` |
| list | a YAML list; in the environment, separated by commas |
| secret | text, only from its own file or the environment |
`

// render makes the page from the defaults and from the comments in the packages
// that declare the fields. root is the module's directory.
func render(root string) ([]byte, error) {
	c := app.Default()
	comments := comments{}
	rows := make(map[string][]config.Field)
	for _, f := range config.Fields(&c) {
		section := f.Key[:strings.LastIndexByte(f.Key, '.')]
		rows[section] = append(rows[section], f)
	}
	var page bytes.Buffer
	page.WriteString(head)
	for _, section := range config.Sections(&c) {
		comment, err := comments.of(section, root)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&page, "\n## %s\n\n%s\n", section.Key, comment)
		if len(rows[section.Key]) == 0 {
			continue
		}
		page.WriteString("\n| key | variable | type | default | what it does |\n|---|---|---|---|---|\n")
		for _, f := range rows[section.Key] {
			comment, err := comments.of(f, root)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(&page, "| `%s` | `%s` | %s | %s | %s |\n", f.Key, f.Env, typeName(f), defaultText(f), comment)
		}
	}
	return page.Bytes(), nil
}

// comments holds the comments of struct fields, each on one line. The first key is the
// package's import path, and the second key is "Struct.Field".
type comments map[string]map[string]string

// of returns the comment of a field.
func (c comments) of(f config.Field, root string) (string, error) {
	pkg := f.Struct.PkgPath()
	if c[pkg] == nil {
		c[pkg] = map[string]string{}
		if err := c.read(pkg, filepath.Join(root, strings.TrimPrefix(pkg, module))); err != nil {
			return "", err
		}
	}
	comment := c[pkg][f.Struct.Name()+"."+f.Name]
	if comment == "" {
		return "", fmt.Errorf("the field %v.%s has no comment", f.Struct, f.Name)
	}
	return comment, nil
}

// read reads the comments of a package in a directory.
func (c comments) read(pkg, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return err
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for n := range ast.Preorder(file) {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				continue
			}
			structure, ok := spec.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, field := range structure.Fields.List {
				for _, name := range field.Names {
					c[pkg][spec.Name.Name+"."+name.Name] = oneLine(field.Doc.Text())
				}
			}
		}
	}
	return nil
}

// oneLine formats a comment for the cell of a table.
func oneLine(comment string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(comment), " "), "|", `\|`)
}

func typeName(f config.Field) string {
	switch f.Value.Interface().(type) {
	case time.Duration:
		return "duration"
	case config.ByteSize:
		return "size"
	case config.Fraction:
		return "fraction"
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
	panic("gen: no name for the type " + f.Value.Type().String())
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

// durationText returns the short form of d: 5m, not 5m0s.
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
