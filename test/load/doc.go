// Package load is farmers without disks, for tests that put a node under load:
// they keep their chunks' tags in memory, answer as fast as their challenges
// allow, try again soon where a farmer in the field would wait, and note in a
// ledger whatever they are told.
//
// Now and then they answer wrong first, or post an accepted proof again. What
// they are told must still add up; an answer that the protocol does not allow
// there is kept as strange, and fails the test.
package load
