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

// Validator is a section, or a whole configuration, with rules that tags cannot
// express. Validate adds every problem of the section to p.
type Validator interface{ Validate(p *Problems) }

// Problems collects the problems of a configuration.
type Problems struct {
	section string          // the key of the section that is being validated
	invalid map[string]bool // the keys of sections with a value that violates its tags
	errs    []error         // each is a problem
}

// problem is what is wrong with the value or the section that has a key.
type problem struct{ key, text string }

func (p problem) Error() string { return p.key + ": " + p.text }

// Validate checks the configuration that c points to against its tags and its
// [Validator] methods. The error joins all problems. Each problem begins with its key.
func Validate(c any) error { return errors.Join(validate(c)...) }

func validate(c any) []error {
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
	if rules, ok := c.(Validator); ok {
		p.section = ""
		rules.Validate(&p)
	}
	return p.errs
}

// checkTags checks the field against its range and oneof tags.
func (f Field) checkTags() error {
	if limits, ok := f.tag.Lookup("range"); ok {
		low, high, _ := strings.Cut(limits, "..")
		least, most := f.parse(low), f.parse(high)
		// A NaN is outside every range.
		if f.Value.CanFloat() && !(f.Value.Float() >= least.Float() && f.Value.Float() <= most.Float()) ||
			f.Value.CanInt() && (f.Value.Int() < least.Int() || f.Value.Int() > most.Int()) {
			return problem{f.Key, fmt.Sprintf("must be from %v to %v, is %v", least, most, f.Value)}
		}
	}
	if texts, ok := f.tag.Lookup("oneof"); ok {
		if permitted := strings.Fields(texts); !slices.Contains(permitted, f.Value.String()) {
			return problem{f.Key, fmt.Sprintf("%q is not one of %v", f.Value, permitted)}
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

// Add adds a problem. name is a key of the current section. If name is empty, the
// problem is about the whole section.
func (p *Problems) Add(name, format string, args ...any) {
	p.errs = append(p.errs, problem{p.Key(name), fmt.Sprintf(format, args...)})
}

// Check does nothing if err is nil. Otherwise it adds err as a problem; see Add.
func (p *Problems) Check(name string, err error) {
	if err != nil {
		p.Add(name, "%v", err)
	}
}

// Key returns the full key of name, a key of the current section, for messages.
func (p *Problems) Key(name string) string { return strings.Trim(p.section+"."+name, ".") }

// Env returns the environment variable of name, a key of the current section, for
// messages.
func (p *Problems) Env(name string) string { return EnvName(p.Key(name)) }

// TagsValid reports whether all values of the current section satisfy their tags.
func (p *Problems) TagsValid() bool { return !p.invalid[p.section] }

// CheckServers checks that each of addrs is host:port with a host, and adds the others
// as problems of name, a key of the current section.
func (p *Problems) CheckServers(name string, addrs []string) {
	for _, addr := range addrs {
		if host, _, err := net.SplitHostPort(addr); err == nil && host == "" {
			p.Add(name, "%q has no host", addr)
		} else {
			p.Check(name, CheckAddress(addr))
		}
	}
}

// CheckAddress checks that addr is host:port. The host may be empty, and the port must
// be a number.
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
