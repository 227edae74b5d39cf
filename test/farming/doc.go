// Package farming tests a whole node as it is deployed, each part a process of
// its own, with farmers that live by the protocol for several intervals.
// docs/operations.md tells how to run a node so.
package farming
