// Package heartbeatcmd is the command `downstream-node heartbeat`: the
// proof-of-storage schemes on files, in the JSON of the farmer protocol.
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
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
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

// runWith makes a command's RunE: it checks the required flags, and gives errors
// without an exit status that of bad input.
func runWith(run func(cmd *cobra.Command) error, required ...string) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		for _, name := range required {
			if !cmd.Flags().Changed(name) {
				return badInput(fmt.Errorf("--%s is missing; `%s --help` tells what it is", name, cmd.CommandPath()))
			}
		}
		return badInput(run(cmd))
	}
}

func noArguments(cmd *cobra.Command, args []string) error {
	return badInput(cobra.NoArgs(cmd, args))
}

// The exit statuses of the commands. Scripts tell a lost file from a failed run
// by them, so only a proof that was judged exits with exitNotValid.
const (
	exitNotValid = 1
	exitBadInput = 2
)

// badInput gives err the exit status of bad input if it has none yet.
func badInput(err error) error {
	if _, ok := errors.AsType[program.ExitError](err); ok || err == nil {
		return err
	}
	return program.ExitError{Status: exitBadInput, Err: err}
}
