package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/farmer"
)

// farming holds the flags of the farm command.
type farming struct {
	node, address, size, dir string
	number                   int
	message, signature       string
}

func newFarmCommand() *cobra.Command {
	var given farming
	cmd := &cobra.Command{
		Use:   "farm URL --address ADDRESS --size SIZE",
		Short: "Store chunks for a node and prove it",
		Long: "farm gets contracts from the node at URL, stores their files and sends a proof for\n" +
			"each challenge, until it is interrupted. It keeps its tokens and files in the\n" +
			"directory, and the next run continues with them.",
		Example: "  downstream-node farm http://node.example:5000 --address 19qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3jV --size 10MiB",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			given.node = args[0]
			return given.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&given.address, "address", "", "SJCX address to farm for")
	flags.StringVar(&given.size, "size", "", "bytes to store for each farmer, such as 10MiB")
	flags.IntVar(&given.number, "number", 1, "number of farmers to run, each with its own token")
	flags.StringVar(&given.dir, "dir", "farm", "directory for tokens and files")
	flags.StringVar(&given.message, "message", "", "message that --signature signs")
	flags.StringVar(&given.signature, "signature", "", "signature that proves the address to be yours, base64")
	cmd.MarkFlagRequired("address")
	cmd.MarkFlagRequired("size")
	cmd.MarkFlagsRequiredTogether("message", "signature")
	return cmd
}

func (g farming) run(ctx context.Context, stdout, stderr io.Writer) error {
	parsed, err := humanize.ParseBytes(g.size)
	size := int64(parsed)
	if err != nil || size <= 0 {
		return fmt.Errorf("--size %q: give a number of bytes, such as 10MiB", g.size)
	}
	unlock, err := app.LockDir(g.dir)
	if err != nil {
		return err
	}
	defer unlock()
	client, err := farmer.NewClient(g.node, farmer.ClientConfig{})
	if err != nil {
		return err
	}
	defer client.Close()

	// On a terminal, the live line shows the progress, so the log shows only warnings.
	log := slog.New(slog.NewTextHandler(stderr, nil))
	screen := newLiveLine(stdout)
	if screen != nil {
		defer screen.end()
		log = slog.New(slog.NewTextHandler(screen, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	group, err := g.group(farmer.Config{Client: client, Address: g.address, Dir: g.dir, Size: size, Logger: log})
	if err != nil {
		return err
	}
	report, every := func() { logProgress(log, group.Snapshot()) }, time.Minute
	if screen != nil {
		wanted := size * int64(g.number)
		report, every = func() { screen.draw(progress(group.Snapshot(), wanted, time.Now())) }, time.Second
	}

	ended := make(chan error, 1)
	go func() { ended <- group.Run(ctx) }()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			report()
		case err := <-ended:
			report()
			return g.advise(err)
		}
	}
}

// group makes the farmers. It fails if the directory has a farmer with another address.
func (g farming) group(cfg farmer.Config) (farmer.Group, error) {
	if g.number < 1 {
		return nil, fmt.Errorf("--number %d: give at least 1", g.number)
	}
	if g.signature != "" {
		cfg.Own = &farmer.Ownership{Message: g.message, Signature: g.signature}
	}
	group, err := farmer.NewGroup(cfg, g.number)
	if err != nil {
		return nil, err
	}
	for _, f := range group {
		address, err := f.Address()
		if err != nil {
			return nil, err
		}
		if address != g.address {
			return nil, fmt.Errorf("%s holds a farmer of the address %s: give that address, or another --dir", g.dir, address)
		}
	}
	return group, nil
}

// advise adds to an error what the user can do next.
func (g farming) advise(err error) error {
	if err == nil {
		return nil
	}
	answer, answered := errors.AsType[*farmer.Error](err)
	_, ours := errors.AsType[*os.PathError](err)
	switch {
	case ours:
		return err
	case errors.Is(err, farmer.ErrTokenUnknown):
		return fmt.Errorf("%w; its address may have left the whitelist, or the node may have lost its records: give another --dir to farm with a new token", err)
	case errors.Is(err, heartbeat.ErrMalformed):
		return fmt.Errorf("%w; the node at %s and this program do not understand each other", err, g.node)
	case !answered:
		return fmt.Errorf("no node reached at %s: %w; check the address, and that the node is running", g.node, err)
	case !answer.FromNode:
		return fmt.Errorf("%w; the server at %s is not a node: check the address", err, g.node)
	case answer.Temporary():
		return fmt.Errorf("the node at %s is not ready: %w; try again later", g.node, err)
	case slices.ContainsFunc(otherRefusals, func(part string) bool { return strings.Contains(answer.Message, part) }):
		return err
	case g.signature == "":
		return fmt.Errorf("%w; ask the node's operators to whitelist %s or, if they want proof that it is yours, give --message and --signature", err, g.address)
	}
	return fmt.Errorf("%w; ask the node's operators to whitelist %s", err, g.address)
}

// otherRefusals lists parts of the node's messages that are not about the whitelist.
var otherRefusals = []string{"too many tokens", "not a valid", "signature does not"}
