// Package apiserver is the node's face to farmers: the routes of
// docs/PROTOCOL.md over HTTP.
//
// A handler reads its parameters, applies a rule of package node or asks the
// store for a transaction, and answers. Proofs are not verified here: answers
// go to the workers as jobs, and the handler waits for their verdicts.
//
// The invariant: a farmer is told "ok", or that a proof is wrong, only for
// what is committed. Whatever could not be decided is a 503 that asks the
// farmer to come again, because farmers drop a contract for good when they are
// told of an error.
//
// Replicas hold no state but copies: any of them can answer any request.
package apiserver
