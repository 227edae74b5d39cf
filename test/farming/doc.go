// Package farming tests a whole node as it is deployed: each part runs as its own
// process, and farmers follow the protocol for several intervals.
// docs/how-to/processes.md says how to run such a node.
package farming
