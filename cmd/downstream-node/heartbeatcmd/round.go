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
	cmd := &cobra.Command{
		Use:   "challenge --heartbeat FILE --state FILE",
		Short: "Make the next challenge, and move the state where the scheme does",
		Args:  noArguments,
	}
	privateFlag(cmd, &private)
	cmd.Flags().StringVar(&statePath, "state", "", "the state file, which a Merkle challenge moves to the next")
	cmd.RunE = runWith(func(cmd *cobra.Command) error {
		if err := oneStandardInput(private, statePath); err != nil {
			return err
		}
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
				return fmt.Errorf("the state of %s moves on with each challenge; give a file, not standard input", h.Type())
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
	}, "heartbeat", "state")
	return cmd
}

// proveFlags are the flags of heartbeat prove.
type proveFlags struct {
	public, tag, challenge string
	content                contentFlags
}

func newProveCommand() *cobra.Command {
	var f proveFlags
	cmd := &cobra.Command{
		Use:   "prove --heartbeat PUBLIC (--file FILE | --seed SEED --size BYTES) --tag FILE --challenge FILE",
		Short: "Answer a challenge, as a farmer does",
		Args:  noArguments,
	}
	cmd.Flags().StringVar(&f.public, "heartbeat", "", "the public heartbeat file, as made by heartbeat public")
	f.content.register(cmd)
	cmd.Flags().StringVar(&f.tag, "tag", "", "the file's tag")
	cmd.Flags().StringVar(&f.challenge, "challenge", "", "the challenge to answer")
	cmd.RunE = runWith(f.run, "heartbeat", "tag", "challenge")
	return cmd
}

func (f *proveFlags) run(cmd *cobra.Command) (err error) {
	if err := oneStandardInput(f.public, f.tag, f.challenge); err != nil {
		return err
	}
	prover, err := readPublic(cmd, f.public)
	if err != nil {
		return err
	}
	tag, err := readWire(cmd, f.tag, prover.ParseTag)
	if err != nil {
		return err
	}
	challenge, err := readWire(cmd, f.challenge, prover.ParseChallenge)
	if err != nil {
		return err
	}
	file, size, err := f.content.open(cmd)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()

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

// verifyFlags are the flags of heartbeat verify.
type verifyFlags struct {
	private, state, challenge, proof string
}

func newVerifyCommand() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify --heartbeat FILE --state FILE --challenge FILE --proof FILE",
		Short: "Say whether a proof answers a challenge",
		Long: `Say whether a proof answers a challenge.

Exits with 0 where the proof is valid, 1 where it is not, and 2 where it could not be
judged: a file that is missing or is not what it should be.`,
		Args: noArguments,
	}
	privateFlag(cmd, &f.private)
	cmd.Flags().StringVar(&f.state, "state", "", "the state file, as it was at the challenge or after")
	cmd.Flags().StringVar(&f.challenge, "challenge", "", "the challenge that was put")
	cmd.Flags().StringVar(&f.proof, "proof", "", "the answer to it")
	cmd.RunE = runWith(f.run, "heartbeat", "state", "challenge", "proof")
	return cmd
}

func (f *verifyFlags) run(cmd *cobra.Command) error {
	if err := oneStandardInput(f.private, f.state, f.challenge, f.proof); err != nil {
		return err
	}
	h, err := readPrivate(cmd, f.private)
	if err != nil {
		return err
	}
	state, err := readState(cmd, f.state)
	if err != nil {
		return err
	}
	challenge, err := readWire(cmd, f.challenge, h.ParseChallenge)
	if err != nil {
		return err
	}
	proof, err := readWire(cmd, f.proof, h.ParseProof)
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
		return program.ExitError{Status: exitNotValid, Err: fmt.Errorf("%s: the proof does not answer the challenge", f.proof)}
	}
	return printLine(cmd, []byte("valid"))
}
