// Package farmer is a farmer in Go: it takes contracts from a node, stores
// their files and proves them, challenge after challenge. [Client] speaks the
// farmer protocol (PROTOCOL.md, section 2). [Farmer] keeps contracts alive with
// one token. [Group] runs several farmers in one process.
//
// The farm command, the demo, the tests and the load generator use it. It is
// honest: it makes every proof from the file on its disk. A test that needs a
// dishonest farmer uses the Client. The package knows only the protocol and
// nothing else about the node.
//
// One goroutine, the loop, owns every contract and decides what each contract
// needs next ([contract.next] is the whole rule). Requests, proofs and disk
// writes run in other goroutines, limited in number, and pass their results
// back to the loop.
//
// Invariant: the farmer removes a contract from its disk only if the node
// reports an error for it, if its challenges have ended, or if its content does
// not match its hash. Failed requests, restarts and the farmer's own clock
// never remove a contract.
package farmer
