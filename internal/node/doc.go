// Package node holds the rules and domain types of a verification node: tokens, the
// lifetime of a contract, when the next challenge is issued, what a proof's verdict
// changes, how uptime is computed and which chunk the inventory needs.
//
// The package has plain types and functions. It uses no clock, database, queue or
// network; the time is a parameter. The store applies the rules to its rows. The
// workers and the API apply the rules to copies, to find proofs that need no write.
//
// The invariant: judging the same proof against a contract any number of times
// gives the same outcome and changes the contract once. This is why a job may be
// delivered twice.
package node
