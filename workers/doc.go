// Package workers is the pool behind the API: it verifies proofs, keeps the
// inventory stocked, sweeps up what is over and tends the record.
//
// A proof's way through it: [Verifier] reads jobs from the queue, as many as
// hand has room for; verify looks at each answer, against a copy of its
// contract, which is read for several jobs at once; commit gathers the verdicts
// of many jobs into one transaction, which applies them to what the records say
// then; only after that are the replies sent, and last of all the job is
// acknowledged. So a worker can die, or pause and come
// back, between any two steps: the job is delivered again, and the rules of
// package node make the second time change nothing.
//
// The invariant: nothing is told or acknowledged that is not committed.
//
// Shutdown goes from the senders to the receivers: stop reading jobs, finish
// those in hand, flush the last commit, and hand back to the queue what could
// not be finished in time.
package workers
