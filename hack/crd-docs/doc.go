// Command crd-docs writes docs/crd.md, the reference of every field of a
// DownstreamNode, from the CustomResourceDefinition. `make generate` runs it.
//
// It takes the words from the definition, which `kubectl explain` shows too, so
// that there is one place to write them: the comments in api/v1alpha1.
package main

//go:generate go run .
