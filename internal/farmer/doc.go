// Package farmer implements a farmer in Go. A farmer takes contracts from a node,
// stores their files and proves them, challenge after challenge. [Client]
// implements the farmer protocol (PROTOCOL.md, section 2). [Farmer] keeps the
// contracts of one token alive. [Group] runs several farmers in one process.
//
// The farm command, the demo, the tests and the load generator use this package. A
// Farmer is honest: it makes every proof from the file on its disk. A test that
// needs a dishonest farmer uses the Client. The package depends only on the
// protocol, and on nothing else in the node.
//
// One goroutine, the loop, owns every contract and decides what each contract needs
// next. [contract.next] contains the whole rule. Requests, proofs and disk writes
// run in other goroutines. The number of these goroutines is limited, and they pass
// their results to the loop.
//
// Invariant: the farmer removes a contract from its disk only if the node reports
// an error for the contract, if the contract has no more challenges, or if the
// content of the contract does not match its hash. Failed requests, restarts and
// the farmer's own clock never remove a contract.
package farmer
