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
	cmd := &cobra.Command{
		Use:   "new --type Merkle|Swizzle",
		Short: "Make a private heartbeat with fresh keys",
		Long: `Make a private heartbeat with fresh keys, on standard output.

It is a secret: with it, anybody can answer for any file that was encoded with it.
Without it, none of those files can be challenged any more.`,
		Args: noArguments,
	}
	cmd.Flags().StringVar(&name, "type", "", "the scheme, Merkle or Swizzle")
	cmd.Flags().Float64Var(&fraction, "check-fraction", 0.01, "the part of a file that one challenge covers, from 0 to 1")
	program.CompleteWith(cmd, "type", string(heartbeat.Merkle), string(heartbeat.Swizzle))
	cmd.RunE = runWith(func(cmd *cobra.Command) error {
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
	}, "type")
	return cmd
}

func newPublicCommand() *cobra.Command {
	var private string
	cmd := &cobra.Command{
		Use:   "public --heartbeat FILE",
		Short: "Give the public heartbeat that farmers prove with",
		Args:  noArguments,
	}
	privateFlag(cmd, &private)
	cmd.RunE = runWith(func(cmd *cobra.Command) error {
		h, err := readPrivate(cmd, private)
		if err != nil {
			return err
		}
		return printLine(cmd, schemes.MarshalPublicFile(h))
	}, "heartbeat")
	return cmd
}

func privateFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "heartbeat", "", "the private heartbeat file, as made by heartbeat new")
}

func readPrivate(cmd *cobra.Command, path string) (heartbeat.Heartbeat, error) {
	b, err := readInput(cmd, path)
	if err != nil {
		return nil, err
	}
	h, err := schemes.ParseFile(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; `downstream-node heartbeat new` makes a private heartbeat", path, err)
	}
	return h, nil
}

func readPublic(cmd *cobra.Command, path string) (heartbeat.Prover, error) {
	b, err := readInput(cmd, path)
	if err != nil {
		return nil, err
	}
	p, err := schemes.ParsePublicFile(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; `downstream-node heartbeat public` makes a public heartbeat of a private one", path, err)
	}
	return p, nil
}
