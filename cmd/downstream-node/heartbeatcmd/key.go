package heartbeatcmd

import (
	"fmt"
	"strings"

	"github.com/driveshare/downstream-node/internal/program"

	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
)

func newNewCommand() *cobra.Command {
	var name string
	var fraction float64
	run := func(cmd *cobra.Command) error {
		t := heartbeat.Type(name)
		for _, known := range []heartbeat.Type{heartbeat.Merkle, heartbeat.Swizzle} {
			if strings.EqualFold(name, string(known)) {
				t = known
			}
		}
		h, err := schemes.New(t, &fraction)
		if err != nil {
			return err
		}
		return printLine(cmd, schemes.MarshalFile(h))
	}
	cmd := newCommand("new --type Merkle|Swizzle", "Make a private heartbeat with fresh keys",
		`Make a private heartbeat with fresh keys, on standard output.

Keep it secret: a person who has it can make a valid proof for every file that was
encoded with it. If it is lost, none of those files can be challenged any more.`, run,
		fileFlag{path: &name, name: "type", usage: "the scheme, Merkle or Swizzle"},
	)
	cmd.Flags().Float64Var(&fraction, "check-fraction", 0.01, "the part of a file that one challenge covers, from 0 to 1")
	program.CompleteWith(cmd, "type", string(heartbeat.Merkle), string(heartbeat.Swizzle))
	return cmd
}

func newPublicCommand() *cobra.Command {
	var private string
	run := func(cmd *cobra.Command) error {
		h, err := readPrivate(cmd, private)
		if err != nil {
			return err
		}
		return printLine(cmd, schemes.MarshalPublicFile(h))
	}
	return newCommand("public --heartbeat FILE", "Give the public heartbeat that farmers prove with", "", run, privateFlag(&private))
}

func privateFlag(path *string) fileFlag {
	return fileFlag{path: path, name: "heartbeat", usage: "the private heartbeat file, as made by heartbeat new"}
}

func readPrivate(cmd *cobra.Command, path string) (heartbeat.Heartbeat, error) {
	return parseInput(cmd, path, withHint(schemes.ParseFile, "`downstream-node heartbeat new` makes a private heartbeat"))
}

func readPublic(cmd *cobra.Command, path string) (heartbeat.Prover, error) {
	return parseInput(cmd, path, withHint(schemes.ParsePublicFile, "`downstream-node heartbeat public` makes a public heartbeat of a private one"))
}

// withHint returns a function that calls parse and adds the hint to its error.
func withHint[T any](parse func([]byte) (T, error), hint string) func([]byte) (T, error) {
	return func(b []byte) (T, error) {
		parsed, err := parse(b)
		if err != nil {
			err = fmt.Errorf("%w; %s", err, hint)
		}
		return parsed, err
	}
}
