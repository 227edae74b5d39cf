// Package node is the rules of a verification node: what a token is, how a
// contract lives, when a challenge moves on, what a proof's verdict changes,
// how uptime is reckoned and what the inventory lacks.
//
// It is plain types and functions. The clock is passed in; nothing here reads
// a database, a queue or a network, so every rule can be read, and tested, in
// one place. The store applies these rules to what its rows say; the workers and
// the API apply them to copies, to see what needs no writing.
//
// The invariant: applying the same answer to a contract any number of times
// gives the same outcome and changes the contract once. That is what lets a
// job be delivered twice.
package node
