// Package faults tests what docs/how-to/operate.md says about failures: it kills, stops
// and pauses the processes and servers of a node under load, and then compares the
// verdicts that farmers received with the records.
//
// The tests need the build tag "faults": `make test-faults`.
package faults
