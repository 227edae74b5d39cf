// Command api-docs writes docs/api.md, the reference of the API, from its
// OpenAPI description. `make generate` runs it.
//
// The words are the description's, which the node serves too, so that there is
// one place to write them: apiserver/openapi/openapi.yaml.
package main

//go:generate go run .
