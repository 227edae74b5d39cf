// Command chart-sync makes the parts of the Helm chart that must not differ from
// config/: the CustomResourceDefinition and the rules of every role. `make
// generate` runs it after the tools that fill config/.
//
// The invariant: an operator that Helm installed may do the same as one that
// kustomize installed.
package main

//go:generate go run .
