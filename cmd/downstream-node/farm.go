package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/internal/program"
)

// farming holds the flags of the farm command.
type farming struct {
	node, address, size, dir string
	number                   int
	message, signature       string
	caFile, notify           string
}

func newFarmCommand() *cobra.Command {
	var given farming
	cmd := &cobra.Command{
		Use:   "farm URL --address ADDRESS --size SIZE",
		Short: "Store chunks for a node and prove it",
		Long: "farm gets contracts from the node at URL, stores their files and sends a proof for\n" +
			"each challenge, until it is interrupted. It keeps its tokens and files in the\n" +
			"directory, and the next run continues with them. On a terminal, it shows a line that\n" +
			"changes; otherwise it logs a line at least once in each interval.",
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
	cmd.PersistentFlags().StringVar(&given.dir, "dir", "farm", "directory for tokens and files")
	flags.StringVar(&given.message, "message", "", "message that --signature signs")
	flags.StringVar(&given.signature, "signature", "", "signature that proves the address to be yours, base64")
	flags.StringVar(&given.notify, "notify", "", "URL that gets a POST with a JSON object {\"text\": ...} if there is trouble: a webhook, or a check's URL for failures")
	cmd.PersistentFlags().StringVar(&given.caFile, "ca-file", "", "PEM file with the certificates that verify the node, in place of those of the system")
	cmd.MarkFlagRequired("address")
	cmd.MarkFlagRequired("size")
	cmd.MarkFlagsRequiredTogether("message", "signature")
	cmd.AddCommand(newFarmStatusCommand(&given.dir, &given.caFile), newFarmVerifyCommand(&given.dir), newFarmLeaveCommand(&given.dir))
	return cmd
}

// farmClient returns a client of a node. caFile may be empty.
func farmClient(node, caFile string) (*farmer.Client, error) {
	secure, err := config.ClientTLS{CAFile: caFile}.Load()
	if err != nil {
		return nil, fmt.Errorf("--ca-file %s: %w", caFile, err)
	}
	return farmer.NewClient(node, farmer.ClientConfig{TLS: secure})
}

func (g farming) run(ctx context.Context, stdout, stderr io.Writer) error {
	parsed, err := humanize.ParseBytes(g.size)
	size := int64(parsed)
	if err != nil || size <= 0 {
		return fmt.Errorf("--size %q: give a number of bytes, such as 10MiB", g.size)
	}
	if u, err := url.Parse(g.notify); g.notify != "" && (err != nil || u.Host == "") {
		return errors.New("--notify: give a URL that begins with https:// or http://")
	}
	unlock, err := app.LockDir(g.dir)
	if err != nil {
		return err
	}
	defer unlock()
	client, err := farmClient(g.node, g.caFile)
	if err != nil {
		return err
	}
	defer client.Close()

	// On a terminal, the live line shows the progress, so the log shows only warnings.
	screen := newLiveLine(stdout)
	environ, out := os.Environ(), stderr
	if screen != nil {
		defer screen.end()
		environ, out = append(environ, "DOWNSTREAM_LOG_LEVEL=warn"), screen
	}
	log, err := program.EnvironmentLogger("text", out, environ)
	if err != nil {
		return err
	}
	group, err := g.group(farmer.Config{Client: client, Address: g.address, Dir: g.dir, Size: size, Logger: log})
	if err != nil {
		return err
	}
	return g.watch(ctx, group, screen, size, log)
}

// watch runs the farmers, shows their progress, and notifies of trouble.
func (g farming) watch(ctx context.Context, group farmer.Group, screen *liveLine, size int64, log *slog.Logger) error {
	var last, due time.Time
	report := func(now time.Time) {
		s := group.Snapshot()
		if screen != nil {
			screen.draw(progress(s, size*int64(g.number), now))
		} else if now.After(nextLine(last, due)) {
			logProgress(log, s, now)
			last, due = now, s.LastDue
		}
	}
	trouble := notifier{url: g.notify, who: g.address, log: log}
	defer trouble.posts.Wait()
	ended := make(chan error, 1)
	go func() { ended <- group.Run(ctx) }()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			report(now)
			trouble.look(ctx, group.Snapshot(), now)
		case err := <-ended:
			last = time.Time{}
			report(time.Now())
			if err = g.advise(err); err != nil {
				trouble.send(context.WithoutCancel(ctx), "the farmer has stopped: "+err.Error())
			}
			return err
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
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, ours := errors.AsType[*os.PathError](err)
	switch {
	case ours:
		return err
	case errors.Is(err, farmer.ErrTokenUnknown):
		return fmt.Errorf("%w; its address may have left the whitelist, or the node may have lost its records: give another --dir to farm with a new token", err)
	case errors.Is(err, heartbeat.ErrMalformed):
		return fmt.Errorf("%w; the node at %s and this program do not understand each other", err, g.node)
	case untrusted, errors.Is(err, syscall.ECONNREFUSED), errors.As(err, new(*net.DNSError)):
		return fmt.Errorf("no node reached at %s: %w", g.node, err)
	case errors.Is(err, farmer.ErrNoTLS):
		return fmt.Errorf("%s: %w", g.node, err)
	case !answered:
		return fmt.Errorf("no node reached at %s: %w; check the address, and that the node is running", g.node, err)
	case !answer.FromNode && !strings.Contains(answer.Message, "HTTPS server"):
		return fmt.Errorf("%w; the server at %s is not a node: check the address", err, g.node)
	case answer.Temporary():
		return fmt.Errorf("the node at %s is not ready: %w; try again later", g.node, err)
	}
	for part, hint := range refusals {
		if strings.Contains(answer.Message, part) {
			return fmt.Errorf("%w; "+strings.ReplaceAll(hint, "ADDRESS", g.address), err)
		}
	}
	return err
}

// refusals maps parts of the node's messages to what the user can do.
var refusals = map[string]string{
	"must be proven":     "sign a text with the wallet of ADDRESS, and give the text with --message and the signature with --signature",
	"signature does not": "sign exactly the text of --message with the wallet of ADDRESS, and give the signature in base64",
	"whitelist":          "ask the node's operators to whitelist ADDRESS",
	"balance":            "ask the node's operators, or farm with another address",
	"not a valid":        "check --address for a typing error; an address that begins with bc1 cannot be used",
	"too many tokens":    "continue with the farmers that you have, from the --dir of each, or farm from another IP address",
	"HTTPS server":       "begin the URL with https://",
}
