// Package schemes finds a proof-of-storage scheme by its name, and reads and
// writes heartbeats as files. It is the only package that knows every scheme. A
// caller that needs one particular scheme imports that scheme's package instead.
//
// A heartbeat file is {"type", "heartbeat"}. A node's response to /new has these
// members too, so it is a valid public file. In a private file the heartbeat
// includes the secret keys. For Swizzle, a private file also has a member
// "check_fraction", because Swizzle's own form has no place for it.
//
// The invariant: a private heartbeat is never accepted as a public one, and a
// public one never as a private one.
package schemes
