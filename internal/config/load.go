package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile is the maximum size of the YAML file and of each file with a secret, in
// bytes.
const maxFile = 1 << 20

// Load starts with base. It sets the values in the YAML file at path, then the values
// in the environment. Then it reads each text without a value from its file, if the
// configuration names one. An empty path means no file. environ has the form of
// [os.Environ].
//
// The result is valid. Load stops at the first of these steps that fails. The error
// lists all problems of that step, each with its key and the line or the variable that set
// it.
func Load[C any](base C, path string, environ []string) (C, error) {
	c, from := base, origins{}
	if path != "" {
		text, err := readFile(path)
		if err != nil {
			return base, fmt.Errorf("reading the configuration: %w", err)
		}
		if err := setFromYAML(&c, text, from); err != nil {
			return base, fmt.Errorf("reading the configuration %s:\n%w", path, err)
		}
		for key, line := range from {
			from[key] = path + " " + line
		}
	}
	if err := setFromEnviron(&c, environ, from); err != nil {
		return base, fmt.Errorf("reading the configuration from the environment:\n%w", err)
	}
	if errs := readSecrets(&c); errs != nil {
		return base, fmt.Errorf("reading secrets:\n%w", from.explain(&c, errs))
	}
	if errs := validate(&c); errs != nil {
		return base, fmt.Errorf("checking the configuration:\n%w", from.explain(&c, errs))
	}
	return c, nil
}

// origins maps the keys of values to what set them: a line of the file, or a variable. A
// value without an origin has its default.
type origins map[string]string

// explain adds its origin to each problem. The origin of a section is that of its first
// value that has one.
func (o origins) explain(c any, problems []error) error {
	for i, err := range problems {
		key := err.(problem).key
		for _, f := range Fields(c) {
			if f.Key != key && !strings.HasPrefix(f.Key, key+".") {
				continue
			}
			if from, ok := o[f.Key]; ok {
				problems[i] = fmt.Errorf("%s: %w", from, err)
				break
			}
		}
	}
	return errors.Join(problems...)
}

// Redacted returns the configuration as YAML with every secret masked.
func Redacted(c any) ([]byte, error) {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(c); err != nil {
		return nil, fmt.Errorf("printing the configuration: %w", err)
	}
	return out.Bytes(), nil
}

// setFromEnviron sets each field that has a variable in environ. It ignores an
// empty variable, because deployment templates often set empty variables. It also
// ignores unknown variables, because Kubernetes makes variables from the names of
// Services; see [UnknownVariables].
func setFromEnviron(c any, environ []string, from origins) error {
	values := make(map[string]string, len(environ))
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && value != "" {
			values[name] = value
		}
	}
	var problems []error
	for _, f := range Fields(c) {
		value, ok := values[f.Env]
		if !ok {
			continue
		}
		if err := f.setText(value); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", f.Env, err))
		}
		from[f.Key] = f.Env
	}
	return errors.Join(problems...)
}

// serviceVariable matches the variables that Kubernetes makes for a Service.
var serviceVariable = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_.*)?)$`)

// UnknownVariables returns the variables of environ that have the prefix but set no
// field of c. Most of these variables are misspelt.
func UnknownVariables(c any, environ []string) []string {
	known := []string{envPrefix + "_CONFIG", envPrefix + "_FAULT_POINT", envPrefix + "_YES"} // other code reads these
	for _, f := range Fields(c) {
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

// readSecrets reads a secret, or a user name, from its file if it has no value and the
// configuration names a file. The key of the file's name is the key of the value
// followed by "File", such as database.dsnFile for database.dsn.
func readSecrets(c any) (problems []error) {
	fields := Fields(c)
	byKey := make(map[string]Field, len(fields))
	for _, f := range fields {
		byKey[f.Key] = f
	}
	for _, f := range fields {
		file, ok := byKey[f.Key+"File"]
		if !ok || f.Value.String() != "" || file.Value.String() == "" {
			continue
		}
		text, err := readSecret(file.Value.String())
		if err != nil {
			problems = append(problems, problem{file.Key, err.Error()})
		}
		f.Value.SetString(text)
	}
	return problems
}

func readSecret(path string) (string, error) {
	text, err := readFile(path)
	if err != nil {
		return "", err
	}
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		// The PowerShell of Windows writes such files.
		return "", fmt.Errorf("%s is encoded in UTF-16; save it as UTF-8", path)
	}
	// Editors and echo add a newline that is not part of the secret.
	text = bytes.TrimRight(TrimBOM(text), "\r\n")
	if len(text) == 0 {
		return "", fmt.Errorf("%s is empty", path)
	}
	return string(text), nil
}

// TrimBOM removes the byte order mark that some editors write at the start of a
// UTF-8 file. It is not part of the content.
func TrimBOM(text []byte) []byte { return bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) }

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s is larger than %v", path, ByteSize(maxFile))
	}
	return text, nil
}
