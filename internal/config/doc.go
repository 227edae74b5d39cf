// Package config reads a configuration from a YAML file, environment variables
// and files with secrets. It holds no keys: each component declares its own
// Config struct, and internal/app composes them.
//
// A field of such a struct is the only declaration of its key:
//
//	// The maximum size of a request's body, before and after decompression.
//	MaxBody config.ByteSize `yaml:"maxBody" default:"32MiB" range:"1KiB..1GiB"`
//
// The tags are:
//
//   - yaml: the key's name. A field with `yaml:",inline"` adds the keys of its
//     struct to the section.
//   - default: the value if neither the file nor the environment sets one.
//   - range: the smallest and the largest value of a number.
//   - oneof: the permitted texts, separated by spaces.
//
// Rules that need more than one field are a method; see [Validator]. The comment
// is the key's description in docs/reference/configuration.md.
//
// The environment overrides the file, and the file overrides the defaults.
// Reading is strict: an unknown key, a repeated key or a key without a value is
// an error.
//
// Invariant: a secret comes from its own file or from the environment, never
// from the YAML file, and printing a configuration never shows a secret.
package config

//go:generate go run ./gen -o ../../docs/reference/configuration.md
