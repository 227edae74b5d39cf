package config

import (
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Validator is a section with rules that tags cannot express. Validate adds
// every problem of the section to p.
type Validator interface{ Validate(p *Problems) }

// Problems collects the problems of a configuration.
type Problems struct {
	section string          // validated now
	invalid map[string]bool // sections with a value that its tags forbid
	errs    []error
}

// Validate checks the configuration that c points to against its tags and its
// [Validator] methods. It returns every problem, joined. Each begins with its
// key.
func Validate(c any) error {
	p := Problems{invalid: make(map[string]bool)}
	for _, f := range Fields(c) {
		if err := f.checkTags(); err != nil {
			p.errs = append(p.errs, err)
			p.invalid[f.section()] = true
		}
	}
	walk(c, func(f Field) {
		if rules, ok := f.Value.Addr().Interface().(Validator); ok && f.Section() {
			p.section = f.Key
			rules.Validate(&p)
		}
	})
	return errors.Join(p.errs...)
}

// checkTags checks the field against its range and oneof tags.
func (f Field) checkTags() error {
	if limits, ok := f.tag.Lookup("range"); ok {
		low, high, _ := strings.Cut(limits, "..")
		least, most := f.parse(low), f.parse(high)
		// A NaN is outside every range.
		if f.Value.CanFloat() && !(f.Value.Float() >= least.Float() && f.Value.Float() <= most.Float()) ||
			f.Value.CanInt() && (f.Value.Int() < least.Int() || f.Value.Int() > most.Int()) {
			return fmt.Errorf("%s: must be from %v to %v, is %v", f.Key, least, most, f.Value)
		}
	}
	if texts, ok := f.tag.Lookup("oneof"); ok {
		if permitted := strings.Fields(texts); !slices.Contains(permitted, f.Value.String()) {
			return fmt.Errorf("%s: %q is not one of %v", f.Key, f.Value, permitted)
		}
	}
	return nil
}

// parse returns a value of the field's type from the text of a tag.
func (f Field) parse(text string) reflect.Value {
	v := reflect.New(f.Value.Type()).Elem()
	if err := setScalar(v, text); err != nil {
		panic(fmt.Sprintf("config: tag of %s: %v", f.Key, err))
	}
	return v
}

// Add adds a problem with the key name of the section, or with the section
// itself if name is empty.
func (p *Problems) Add(name, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s: %s", p.Key(name), fmt.Sprintf(format, args...)))
}

// Check adds err, if it is not nil, as a problem with the key name.
func (p *Problems) Check(name string, err error) {
	if err != nil {
		p.Add(name, "%v", err)
	}
}

// Key returns the whole key of the section's key name, for messages.
func (p *Problems) Key(name string) string { return strings.Trim(p.section+"."+name, ".") }

// Env returns the variable of the section's key name, for messages.
func (p *Problems) Env(name string) string { return envName(p.Key(name)) }

// TagsValid reports whether all values of the section satisfy their tags.
func (p *Problems) TagsValid() bool { return !p.invalid[p.section] }

// CheckAddress checks that addr is host:port, where host may be empty and port
// is a number.
func CheckAddress(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port", addr)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q has no port from 0 to 65535", addr)
	}
	return nil
}
