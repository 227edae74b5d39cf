// Package deployment runs a node for tests the way it is deployed: API
// replicas and workers as processes of the real program, over a MariaDB and a
// Redis of their own (package testenv). It also reads the node's records
// straight from the database, so that what the node says can be held against
// what it wrote down.
//
// A process is signalled and ended by its own id only, and ends with the test
// at the latest, also where the test itself is killed (on Linux).
package deployment
