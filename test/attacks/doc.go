// Package attacks attacks a node as strangers could: each test starts a standalone
// node, runs honest farmers beside an attacker, and prints what the attack cost the
// honest farmers and the node.
//
// The tests need the build tag "attacks": `make test-attacks`.
package attacks
