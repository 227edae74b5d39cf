package config

import (
	"os"
	"regexp"
	"slices"
	"strings"
)

// serviceVariable is what Kubernetes makes of the name of a Service.
var serviceVariable = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_.*)?)$`)

// notFields are the variables with the prefix that others read.
var notFields = []string{envPrefix + "_CONFIG", envPrefix + "_FAULT_POINT"}

// UnknownVariables returns the variables of environ, which nil means as in
// [Load], that look like settings and are none: most are misspelt.
func UnknownVariables(environ []string) []string {
	if environ == nil {
		environ = os.Environ()
	}
	known := slices.Clone(notFields)
	for _, f := range Fields(new(Config)) {
		known = append(known, f.Env)
	}
	var unknown []string
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix+"_") || value == "" || serviceVariable.MatchString(name) {
			continue
		}
		if !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	return unknown
}
