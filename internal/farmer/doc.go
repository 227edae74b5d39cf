// Package farmer is a farmer: someone who stores what a node hands out and
// proves it, challenge after challenge. [Client] speaks every route of the
// farmer protocol (PROTOCOL.md, section 2); [Farmer] lives by it, with one
// token; [Crew] is several of them in one process.
//
// It serves the farm command, the demo, the tests and the load generator. It
// is honest: what it proves, it proves from the file on its disk. A test that
// wants a farmer to misbehave uses the Client. It knows nothing of the node's
// side beyond the protocol.
//
// How a Farmer is built: one goroutine, the keeper, owns every contract and
// decides what each needs next ([contract.next] is the whole rule); requests,
// proofs and disk writes run beside it, bounded, and hand their outcome back.
//
// The invariant: a contract leaves the disk only on the node's word, an error
// for it or the end of its challenges, or because its content is not what it
// is named after. Failed requests, restarts and the farmer's own clock never
// lose one.
package farmer
