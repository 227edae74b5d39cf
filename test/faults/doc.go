// Package faults carries out what DESIGN.md, section 5, says must not matter:
// it kills, stops and pauses the processes and servers of a node under load,
// and then holds what farmers were told against what the node recorded.
//
// The tests need the tag "faults": `make test-faults`.
package faults
