// Package apiserver serves the routes of docs/PROTOCOL.md to farmers over HTTP. It
// also serves the status page.
//
// A handler parses the request, applies a rule of package node or runs a
// transaction of package store, and responds. A handler does not verify proofs: it
// sends them to the workers as jobs, and waits for the verdicts.
//
// The invariant: a farmer gets "ok" or an error for a proof only if the verdict
// is committed. If the node cannot reach a verdict now, the API responds with a 503,
// and the farmer repeats the request. Any other error would be final: the farmer
// would drop the contract permanently.
//
// A replica has no state except caches, so any replica can serve any request.
package apiserver
