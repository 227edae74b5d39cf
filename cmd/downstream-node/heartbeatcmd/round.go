package heartbeatcmd

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/driveshare/downstream-node/internal/program"

	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/heartbeat"
)

func newChallengeCommand() *cobra.Command {
	var private, statePath string
	run := func(cmd *cobra.Command) error {
		h, err := readPrivate(cmd, private)
		if err != nil {
			return err
		}
		state, err := readState(cmd, statePath)
		if err != nil {
			return err
		}
		challenge, next, err := h.Challenge(state)
		if errors.Is(err, heartbeat.ErrNoMoreChallenges) {
			return fmt.Errorf("%s: %w; encode the file again to get more", statePath, err)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", statePath, err)
		}
		// Write the state first: a challenge that is printed but not recorded
		// would be printed again.
		if !bytes.Equal(next, state) {
			if statePath == standardInput {
				return fmt.Errorf("each challenge of %s updates the state; give a file, not standard input", h.Type())
			}
			if err := writeState(statePath, next); err != nil {
				return err
			}
		}
		wire, err := h.ChallengeJSON(challenge)
		if err != nil {
			return err
		}
		return printLine(cmd, wire)
	}
	return newCommand("challenge --heartbeat FILE --state FILE", "Make the next challenge, and update the state if the scheme needs it", "", run,
		privateFlag(&private),
		fileFlag{path: &statePath, name: "state", usage: "the state file; a Merkle challenge updates it"},
	)
}

func newProveCommand() *cobra.Command {
	var public, tagPath, challengePath string
	var flags contentFlags
	run := func(cmd *cobra.Command) (err error) {
		prover, err := readPublic(cmd, public)
		if err != nil {
			return err
		}
		tag, err := parseInput(cmd, tagPath, prover.ParseTag)
		if err != nil {
			return err
		}
		challenge, err := parseInput(cmd, challengePath, prover.ParseChallenge)
		if err != nil {
			return err
		}
		file, size, release, err := flags.open(cmd)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, release()) }()

		proof, err := prover.Prove(cmd.Context(), file, size, tag, challenge)
		if err != nil {
			return err
		}
		wire, err := prover.ProofJSON(proof)
		if err != nil {
			return err
		}
		return printLine(cmd, wire)
	}
	cmd := newCommand("prove --heartbeat PUBLIC (--file FILE | --seed SEED --size BYTES) --tag FILE --challenge FILE",
		"Compute the proof for a challenge, as a farmer does", "", run,
		fileFlag{path: &public, name: "heartbeat", usage: "the public heartbeat file, as made by heartbeat public"},
		fileFlag{path: &tagPath, name: "tag", usage: "the file's tag"},
		fileFlag{path: &challengePath, name: "challenge", usage: "the challenge to prove"},
	)
	flags.register(cmd)
	return cmd
}

func newVerifyCommand() *cobra.Command {
	var private, statePath, challengePath, proofPath string
	run := func(cmd *cobra.Command) error {
		h, err := readPrivate(cmd, private)
		if err != nil {
			return err
		}
		state, err := readState(cmd, statePath)
		if err != nil {
			return err
		}
		challenge, err := parseInput(cmd, challengePath, h.ParseChallenge)
		if err != nil {
			return err
		}
		proof, err := parseInput(cmd, proofPath, h.ParseProof)
		if err != nil {
			return err
		}
		valid, err := h.Verify(state, challenge, proof)
		if err != nil {
			return err
		}
		if !valid {
			if err := printLine(cmd, []byte("not valid")); err != nil {
				return err
			}
			return program.ExitError{Status: exitNotValid, Err: fmt.Errorf("%s: the proof does not answer the challenge", proofPath)}
		}
		return printLine(cmd, []byte("valid"))
	}
	return newCommand("verify --heartbeat FILE --state FILE --challenge FILE --proof FILE", "Report whether a proof is valid for a challenge",
		`Report whether a proof is valid for a challenge.

Exits with 0 if the proof is valid, 1 if it is not valid, and 2 if it cannot be judged,
for example because a file is missing or malformed.`, run,
		privateFlag(&private),
		fileFlag{path: &statePath, name: "state", usage: "the state file, as it was at the challenge or after"},
		fileFlag{path: &challengePath, name: "challenge", usage: "the challenge that the proof is for"},
		fileFlag{path: &proofPath, name: "proof", usage: "the proof"},
	)
}
