// Package scale makes a node's records of any size, to measure and to try the
// node on: farmers spread over a world of places, contracts spread unevenly
// over the farmers and over an interval, some of them over and some just
// expired. The same size and seed make the same records.
//
// Every contract has the same challenge and state, of a real file: the node
// can issue challenges on them. They have no tags, as contracts that were
// answered once have none.
package scale
