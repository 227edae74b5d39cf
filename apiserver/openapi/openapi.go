// Package openapi holds the description of the API, OpenAPI 3.1. It is written by
// hand, in openapi.yaml. The node serves it, docs/reference/api.md is generated from it, and
// the tests of package apiserver compare the routes, requests and responses with
// it. It does not define the API: docs/PROTOCOL.md does.
package openapi

import (
	_ "embed"
	"encoding/json"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed openapi.yaml
var text []byte

// YAML returns the description as it is written. Callers must not change it.
func YAML() []byte { return text }

// JSON returns the description as JSON. Callers must not change it.
var JSON = sync.OnceValue(func() []byte {
	var doc any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		panic("openapi.yaml: " + err.Error()) // it is a part of the program
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		panic("openapi.yaml: " + err.Error())
	}
	return raw
})
