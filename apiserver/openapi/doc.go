// Package openapi holds the description of the API, OpenAPI 3.1. It is
// written by hand, in openapi.yaml; the node serves it, docs/api.md is made
// from it, and the tests of package apiserver hold the routes, the requests
// and the answers against it.
//
// It is not where the API is decided: that is docs/PROTOCOL.md.
package openapi
