package cli

import "errors"

// The exit codes of the heartbeat commands. Scripts tell "this farmer lost the
// file" from "this run went wrong" by them, so nothing but a proof that was
// judged exits with exitNotValid.
const (
	exitNotValid = 1
	exitBadInput = 2
)

// exitError is an error that says what the process shall exit with.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string { return e.err.Error() }
func (e exitError) Unwrap() error { return e.err }

// ExitCode is the process's exit code.
func (e exitError) ExitCode() int { return e.code }

// badInput gives err the exit code for bad input, if it has none yet.
func badInput(err error) error {
	if _, ok := errors.AsType[exitError](err); ok || err == nil {
		return err
	}
	return exitError{exitBadInput, err}
}
