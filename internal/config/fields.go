package config

import (
	"encoding"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// envPrefix is the prefix of every environment variable.
const envPrefix = "DOWNSTREAM"

// Field is one value or one section of a configuration.
type Field struct {
	// Key is the path in the YAML file, such as "api.tls.certFile".
	Key string
	// Env is the environment variable, such as "DOWNSTREAM_API_TLS_CERT_FILE".
	Env string
	// Value is the value of the field. It can be set.
	Value reflect.Value
	// Struct is the type that declares the field, and Name is the field's Go name.
	Struct reflect.Type
	Name   string

	tag    reflect.StructTag
	inline bool // the fields of Value belong to the section Key
}

// Default returns a configuration with the values of its default tags.
func Default[C any]() C {
	var c C
	for _, f := range Fields(&c) {
		text, ok := f.tag.Lookup("default")
		if !ok {
			continue
		}
		if err := f.setText(text); err != nil {
			panic(fmt.Sprintf("config: default of %s: %v", f.Key, err))
		}
	}
	return c
}

// Fields returns all fields of the configuration that c points to, except sections.
// They are in the order of their declaration. Setting a Value changes the
// configuration.
func Fields(c any) []Field {
	var values []Field
	walk(c, func(f Field) {
		if !f.Section() {
			values = append(values, f)
		}
	})
	return values
}

// Sections returns the sections of the configuration that c points to. Each section
// comes before its subsections.
func Sections(c any) []Field {
	var sections []Field
	walk(c, func(f Field) {
		if f.Section() && !f.inline {
			sections = append(sections, f)
		}
	})
	return sections
}

// Section reports whether the field is a section and not a value.
func (f Field) Section() bool { return f.Value.Kind() == reflect.Struct }

// Secret reports whether the field's value must not be in the YAML file.
func (f Field) Secret() bool { return f.Value.Type() == reflect.TypeFor[Secret]() }

// section returns the key of the section that holds the field.
func (f Field) section() string {
	if f.inline {
		return f.Key
	}
	return f.Key[:max(strings.LastIndexByte(f.Key, '.'), 0)]
}

// walk visits every field of the configuration that c points to.
func walk(c any, visit func(Field)) {
	var descend func(section reflect.Value, key string)
	descend = func(section reflect.Value, key string) {
		for i := range section.NumField() {
			field := section.Type().Field(i)
			name, option, _ := strings.Cut(field.Tag.Get("yaml"), ",")
			f := Field{
				Key:    strings.Trim(key+"."+name, "."),
				Value:  section.Field(i),
				Struct: section.Type(),
				Name:   field.Name,
				tag:    field.Tag,
				inline: option == "inline",
			}
			f.Env = EnvName(f.Key)
			visit(f)
			if f.Section() {
				descend(f.Value, f.Key)
			}
		}
	}
	descend(reflect.ValueOf(c).Elem(), "")
}

// EnvName returns the environment variable of a key. It turns contracts.tokensPerIP into
// DOWNSTREAM_CONTRACTS_TOKENS_PER_IP, and database.readDSNFile into
// DOWNSTREAM_DATABASE_READ_DSN_FILE.
func EnvName(key string) string {
	var out strings.Builder
	out.WriteString(envPrefix + "_")
	runes := []rune("." + key + ".")
	for i := 1; i < len(runes)-1; i++ {
		before, r, after := runes[i-1], runes[i], runes[i+1]
		if unicode.IsUpper(r) && (unicode.IsLower(before) || unicode.IsUpper(before) && unicode.IsLower(after)) {
			out.WriteByte('_')
		}
		if r == '.' {
			r = '_'
		}
		out.WriteRune(unicode.ToUpper(r))
	}
	return out.String()
}

// setText sets the field from the text of an environment variable, a tag or a scalar in
// the YAML file. Commas separate the elements of a list.
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

// setList sets a list. It stores an empty list as nil.
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

// setScalar parses text as v's type. It is stricter than YAML: it rejects, for
// example, a duration without a unit, or yes for true.
func setScalar(v reflect.Value, text string) error {
	switch p := v.Addr().Interface().(type) {
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is not a duration such as 300s, 5m or 1h30m", text)
		}
		*p = d
		return nil
	case *slog.Level:
		if p.UnmarshalText([]byte(text)) != nil {
			return fmt.Errorf("%q is not debug, info, warn or error", text)
		}
		return nil
	case *netip.Prefix:
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("%q is not a network such as 10.0.0.0/8", text)
		}
		*p = network
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
		panic("config: a field has the unsupported type " + v.Type().String())
	}
	return nil
}
