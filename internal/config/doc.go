// Package config is what an operator of a node can choose: one struct, one
// YAML file, and an environment variable for every value.
//
// A value in the environment wins over the file, and the file over the
// defaults. The file is read strictly: a key that is not known, given twice or
// without a value is an error that names it. The struct is the only list of
// keys; what the file calls a value, the name of its variable and
// docs/configuration.md all follow from its fields and their comments.
//
// The package decides nothing by itself: it opens no listener, no database and
// no key, and reads no files but the configuration and the secrets that the
// configuration names. What follows from a value is the business of the
// package that it is for.
//
// The invariant: a secret comes from a file of its own or from the
// environment, never from the YAML file, and no way of printing a [Config]
// shows one.
package config

//go:generate go run ./gen -o ../../docs/configuration.md
