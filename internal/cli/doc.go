// Package cli is the commands of the binary, and the one place where a node is
// wired together: it reads the configuration, opens the rooms and runs them.
//
// The invariant: whatever a command has started has ended, in the order
// senders before receivers, when the command returns.
package cli
