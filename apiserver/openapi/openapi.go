package openapi

import (
	_ "embed"
	"encoding/json"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed openapi.yaml
var text []byte

// YAML is the description as it is written. Callers must not change it.
func YAML() []byte { return text }

// JSON is the description as JSON. Callers must not change it.
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
