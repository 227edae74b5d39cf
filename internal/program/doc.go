// Package program holds what the project's programs share: the exit status, the
// log, the version, and messages that point to a command's help. It imports
// nothing of Kubernetes, so that the node program does not either.
package program
