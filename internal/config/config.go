package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds the YAML file and each file with a secret, in bytes.
const maxFile = 1 << 20

// Config is everything that can be chosen. The comments on its fields, and on
// theirs, are the reference that docs/configuration.md shows.
type Config struct {
	// The node as a whole.
	Node Node `yaml:"node"`
	// The HTTP server that farmers call.
	API API `yaml:"api"`
	// The verification workers.
	Worker Worker `yaml:"worker"`
	// The proof-of-storage scheme and its keys.
	Heartbeat Heartbeat `yaml:"heartbeat"`
	// What farmers are given, and the limits on it.
	Contracts Contracts `yaml:"contracts"`
	// Who may have a token.
	Access Access `yaml:"access"`
	// The chunks that are kept ready for farmers. There are about as
	// many of one size as of another.
	Inventory Inventory `yaml:"inventory"`
	// The records, in MySQL or SQLite.
	Database Database `yaml:"database"`
	// The queue and the state that API and workers share. With neither `url` nor
	// `addrs` there is no Redis, and only a single process can run.
	Redis Redis `yaml:"redis"`
	// Where farmers are, by their IP address.
	Geo Geo `yaml:"geo"`
	// The periodic clean-up.
	Sweep Sweep `yaml:"sweep"`
	// The record of how it went.
	Record Record `yaml:"record"`
	// The log, on standard error.
	Log Log `yaml:"log"`
}

// Node names the node.
type Node struct {
	// The name of this node: the namespace of its keys in Redis. Two nodes on one Redis need two names. Lower-case letters,
	// digits, dots and dashes.
	Name string `yaml:"name"`
}

// Log is how the process tells what it does.
type Log struct {
	// The least severe level that is logged: `debug`, `info`, `warn` or `error`.
	Level slog.Level `yaml:"level"`
	// One line an entry, as `json` or as `text`.
	Format LogFormat `yaml:"format"`
}

// LogFormat is how a log entry is written.
type LogFormat string

// The formats of the log.
const (
	LogJSON LogFormat = "json"
	LogText LogFormat = "text"
)

// Load is [LoadOver] the [Default] configuration.
func Load(path string, environ []string) (Config, error) {
	return LoadOver(Default(), path, environ)
}

// LoadOver returns base with what the YAML file at path says laid over it,
// and then what environ says, and then the secrets that are kept in files. An
// empty path means that there is no file. environ has the form of
// [os.Environ], which also is what nil stands for.
//
// The result is valid. The error holds every problem that was found, each
// with the key or the variable that it is about.
func LoadOver(base Config, path string, environ []string) (Config, error) {
	c := base
	if path != "" {
		text, err := readFile(path)
		if err != nil {
			return Config{}, fmt.Errorf("reading the configuration: %w", err)
		}
		if err := c.setFromYAML(text); err != nil {
			return Config{}, fmt.Errorf("reading the configuration %s:\n%w", path, err)
		}
	}
	if environ == nil {
		environ = os.Environ()
	}
	if err := c.setFromEnviron(environ); err != nil {
		return Config{}, fmt.Errorf("reading the configuration from the environment:\n%w", err)
	}
	if err := c.readSecrets(); err != nil {
		return Config{}, fmt.Errorf("reading secrets:\n%w", err)
	}
	if err := c.Validate(); err != nil {
		return Config{}, fmt.Errorf("checking the configuration:\n%w", err)
	}
	return c, nil
}

// Redacted returns c as YAML, with every secret that is set replaced by a mask.
func (c Config) Redacted() ([]byte, error) {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(c); err != nil {
		return nil, fmt.Errorf("printing the configuration: %w", err)
	}
	return out.Bytes(), nil
}

// setFromEnviron sets the fields whose variables are in environ. A variable
// that is empty counts as absent, for a deployment's template often leaves one
// behind. A variable with the prefix but no field is no error: Kubernetes
// makes such variables out of the names of Services. See [UnknownVariables].
func (c *Config) setFromEnviron(environ []string) error {
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
	}
	return errors.Join(problems...)
}

// readSecrets fills the secrets that are not set from the files that stand
// beside them: the file for database.dsn is database.dsnFile.
func (c *Config) readSecrets() error {
	fields := Fields(c)
	byKey := make(map[string]Field, len(fields))
	for _, f := range fields {
		byKey[f.Key] = f
	}
	var problems []error
	for _, f := range fields {
		secret, ok := f.Value.Addr().Interface().(*Secret)
		if !ok || *secret != "" {
			continue
		}
		beside := byKey[f.Key+"File"]
		path := beside.Value.String()
		if path == "" {
			continue
		}
		text, err := readFile(path)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", beside.Key, err))
			continue
		}
		// Editors and `echo` end a file with a newline that is no part of it.
		*secret = Secret(bytes.TrimRight(text, "\r\n"))
		if *secret == "" {
			problems = append(problems, fmt.Errorf("%s: %s is empty", beside.Key, path))
		}
	}
	return errors.Join(problems...)
}

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
