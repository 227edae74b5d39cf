// Package schemes finds a proof-of-storage scheme by its name, and reads and
// writes heartbeats as files: the one place that knows every scheme. Whoever
// wants a particular one imports that scheme's package instead.
//
// A heartbeat file is {"type", "heartbeat"}, the members that a farmer gets
// with its token, so what a node answered to /new serves as a public one. A
// private file is the same with the secret keys in it, and, for Swizzle, whose
// own form has no room for it, a member "check_fraction" beside them.
//
// The invariant: a private heartbeat is never read as a public one, nor the
// other way round.
package schemes
