// Command chart-sync makes the parts of the Helm chart that must not differ from
// config/: the CustomResourceDefinition and the rules of every role. `make
// generate` runs it after the tools that fill config/.
//
// The invariant: what Helm installs may do what what kustomize installs may do,
// no less and no more.
package main

//go:generate go run .
