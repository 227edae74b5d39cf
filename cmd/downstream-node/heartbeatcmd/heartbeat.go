// Package heartbeatcmd implements the command `downstream-node heartbeat`. The command
// runs the proof-of-storage schemes on files, with the JSON of the farmer protocol.
package heartbeatcmd

import (
	"errors"
	"fmt"

	"github.com/driveshare/downstream-node/internal/program"

	"github.com/spf13/cobra"
)

// New returns the heartbeat command.
func New() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "heartbeat",
		Short: "Encode, challenge, prove and verify, files in and files out",
		Long: `The proof-of-storage schemes on files, in the JSON of the farmer protocol.

A round, the node's steps with the private heartbeat, the farmer's with the public one:

  downstream-node heartbeat new --type Swizzle > private.json
  downstream-node heartbeat public --heartbeat private.json > public.json
  downstream-node heartbeat encode --heartbeat private.json --file photo.raw --tag tag.json --state state.json
  downstream-node heartbeat challenge --heartbeat private.json --state state.json > challenge.json
  downstream-node heartbeat prove --heartbeat public.json --file photo.raw --tag tag.json --challenge challenge.json > proof.json
  downstream-node heartbeat verify --heartbeat private.json --state state.json --challenge challenge.json --proof proof.json

Any one input file can be "-", which is standard input.`,
		Args: noArguments,
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return badInput(program.SeeHelp(cmd, err)) })
	cmd.AddCommand(
		newNewCommand(),
		newPublicCommand(),
		newEncodeCommand(),
		newChallengeCommand(),
		newProveCommand(),
		newVerifyCommand(),
	)
	return cmd
}

// fileFlag is a required flag that names a file. If output is true, the command writes
// the file.
type fileFlag struct {
	path        *string
	name, usage string
	output      bool
}

// newCommand makes a command that calls run if all flags in files are given. After an
// error without an exit status, the command exits with exitBadInput.
func newCommand(use, short, long string, run func(cmd *cobra.Command) error, files ...fileFlag) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Args: noArguments}
	for _, f := range files {
		cmd.Flags().StringVar(f.path, f.name, "", f.usage)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for _, f := range files {
			if !cmd.Flags().Changed(f.name) {
				return badInput(fmt.Errorf("--%s is missing; `%s --help` explains it", f.name, cmd.CommandPath()))
			}
		}
		inputs := 0
		for _, f := range files {
			if !f.output && *f.path == standardInput {
				inputs++
			}
		}
		if inputs > 1 {
			return badInput(errors.New(`only one input can be "-", standard input; give files for the others`))
		}
		return badInput(run(cmd))
	}
	return cmd
}

func noArguments(cmd *cobra.Command, args []string) error {
	return badInput(cobra.NoArgs(cmd, args))
}

// The exit statuses of the commands. A script can distinguish a proof that is not valid
// from every other failure, because only such a proof exits with exitNotValid.
const (
	exitNotValid = 1
	exitBadInput = 2
)

// badInput gives err the status exitBadInput if err has no exit status yet.
func badInput(err error) error {
	if _, ok := errors.AsType[program.ExitError](err); ok || err == nil {
		return err
	}
	return program.ExitError{Status: exitBadInput, Err: err}
}
