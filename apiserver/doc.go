// Package apiserver serves farmers: the routes of docs/PROTOCOL.md over HTTP,
// and the status page.
//
// A handler parses the request, applies a rule of package node or runs a
// transaction of package store, and responds. It does not verify proofs: it sends
// them to the workers as jobs, and waits for the verdicts.
//
// The invariant: a farmer gets "ok" or an error for a proof only if the verdict
// is committed. If the node cannot decide, the response is a 503 that asks the
// farmer to repeat the request, because an error makes a farmer drop the
// contract for good.
//
// A replica has no state except caches, so any replica can serve any request.
package apiserver
