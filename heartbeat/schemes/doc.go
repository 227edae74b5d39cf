// Package schemes finds a proof-of-storage scheme by its name, and reads and writes
// heartbeats as files. It is the only package that imports every scheme. A caller
// that needs one particular scheme imports the package of that scheme instead.
//
// A heartbeat file is JSON with the members "type" and "heartbeat". A node's
// response to /new also has these members, so the response is a valid public file.
// In a private file the heartbeat includes the secret keys. For Swizzle, a private
// file also has the member "check_fraction", because Swizzle's wire form does not
// include the check fraction.
//
// The invariant: a private heartbeat is never accepted as a public heartbeat, and a
// public heartbeat is never accepted as a private heartbeat.
package schemes
