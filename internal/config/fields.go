package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// envPrefix begins the name of every variable.
const envPrefix = "DOWNSTREAM"

// Field is one value of a [Config], or one section of it.
type Field struct {
	// Key is the path in the YAML file, such as "api.tls.certFile".
	Key string
	// Env is the variable, such as "DOWNSTREAM_API_TLS_CERT_FILE".
	Env string
	// Value is the settable field.
	Value reflect.Value
	// Struct and Name say where the field is declared, to find its comment.
	Struct, Name string
}

// Fields returns the values of c in the order of the file. Setting a Value
// changes c.
func Fields(c *Config) []Field {
	var values []Field
	walk(c, func(f Field) {
		if !f.Section() {
			values = append(values, f)
		}
	})
	return values
}

// Sections returns the sections of c, each before those within it.
func Sections(c *Config) []Field {
	var sections []Field
	walk(c, func(f Field) {
		if f.Section() {
			sections = append(sections, f)
		}
	})
	return sections
}

// Section says whether the field is a section and not a value.
func (f Field) Section() bool { return f.Value.Kind() == reflect.Struct }

// Secret says whether the field's value must not be in the YAML file.
func (f Field) Secret() bool { return f.Value.Type() == reflect.TypeFor[Secret]() }

func walk(c *Config, visit func(Field)) {
	var descend func(v reflect.Value, key, env string)
	descend = func(v reflect.Value, key, env string) {
		for i := range v.NumField() {
			field := v.Type().Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
			f := Field{
				Key:    strings.TrimPrefix(key+"."+name, "."),
				Env:    env + "_" + upperSnake(name),
				Value:  v.Field(i),
				Struct: v.Type().Name(),
				Name:   field.Name,
			}
			visit(f)
			if f.Section() {
				descend(f.Value, f.Key, f.Env)
			}
		}
	}
	descend(reflect.ValueOf(c).Elem(), "", envPrefix)
}

// upperSnake turns tokensPerIP into TOKENS_PER_IP.
func upperSnake(camel string) string {
	var out strings.Builder
	lower := false
	for _, r := range camel {
		if lower && unicode.IsUpper(r) {
			out.WriteByte('_')
		}
		lower = !unicode.IsUpper(r)
		out.WriteRune(unicode.ToUpper(r))
	}
	return out.String()
}

// setText sets the field from the text that a variable or a scalar of the YAML
// file holds. The elements of a list are separated by commas.
func (f Field) setText(text string) error {
	if f.Value.Kind() != reflect.Slice {
		return setScalar(f.Value, text)
	}
	var elements []string
	for element := range strings.SplitSeq(text, ",") {
		if element = strings.TrimSpace(element); element != "" {
			elements = append(elements, element)
		}
	}
	return f.setList(elements)
}

// setList sets a field that is a list. An empty list is nil, as in Default.
func (f Field) setList(elements []string) error {
	list := reflect.Zero(f.Value.Type())
	for _, element := range elements {
		v := reflect.New(f.Value.Type().Elem()).Elem()
		if err := setScalar(v, element); err != nil {
			return err
		}
		list = reflect.Append(list, v)
	}
	f.Value.Set(list)
	return nil
}

// setScalar parses text as v's type. It takes one spelling for each value and
// so refuses what YAML would guess at: a duration without a unit, yes for true.
func setScalar(v reflect.Value, text string) error {
	switch p := v.Addr().Interface().(type) {
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is not a duration such as 300s, 5m or 1h30m", text)
		}
		*p = d
		return nil
	case encoding.TextUnmarshaler:
		return p.UnmarshalText([]byte(text))
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("%q is not true or false", text)
		}
		v.SetBool(text == "true")
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		v.SetInt(n)
	case reflect.Float64:
		x, err := strconv.ParseFloat(text, v.Type().Bits())
		if err != nil {
			return fmt.Errorf("%q is not a number", text)
		}
		v.SetFloat(x)
	default:
		panic("config: no way to read a " + v.Type().String())
	}
	return nil
}
