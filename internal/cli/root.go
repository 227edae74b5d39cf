package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/internal/config"
)

// Main runs the command that args name, the program's own name first, and
// gives its exit status.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)

	root := newRootCommand()
	if isPlugin(args[0]) {
		root = newPluginCommand()
	}
	root.SetArgs(args[1:])
	return exitStatus(root.ExecuteContext(ctx), os.Stderr)
}

// exitStatus is the status that err asks for, which is 1 where it does not
// say, after telling of it.
func exitStatus(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	if msg := err.Error(); msg != "" {
		fmt.Fprintln(stderr, "downstream-node:", msg)
	}
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		return coded.ExitCode()
	}
	return 1
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "downstream-node",
		Short:         "A proof-of-storage verification node",
		Long:          "downstream-node hands chunks to farmers, challenges them at intervals, verifies\ntheir proofs of storage and publishes how reliably each of them stores.",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().String("config", os.Getenv("DOWNSTREAM_CONFIG"),
		"configuration file, YAML (DOWNSTREAM_CONFIG); environment variables override it")
	if err := root.MarkPersistentFlagFilename("config", "yaml", "yml"); err != nil {
		panic(err) // there is no such flag
	}
	root.AddCommand(
		newStandaloneCommand(),
		newAPICommand(),
		newWorkerCommand(),
		newDBCommand(),
		newWhitelistCommand(),
		newTokensCommand(),
		newChunksCommand(),
		newOperatorCommand(),
		newKubectlCommand(),
		newFarmCommand(),
		newHeartbeatCommand(),
		newConfigCommand(),
		newVersionCommand(),
	)
	for _, cmd := range root.Commands() {
		refuseUnknown(cmd)
	}
	pointToHelp(root)
	return root
}

// pointToHelp has whoever gets the flags or the arguments of a command wrong
// be told where they are explained.
func pointToHelp(root *cobra.Command) {
	root.SetFlagErrorFunc(seeHelp)
	var check func(*cobra.Command)
	check = func(cmd *cobra.Command) {
		if args := cmd.Args; args != nil {
			cmd.Args = func(cmd *cobra.Command, given []string) error { return seeHelp(cmd, args(cmd, given)) }
		}
		for _, below := range cmd.Commands() {
			check(below)
		}
	}
	check(root)
}

// refuseUnknown makes a command that only has others below it refuse what is
// none of them, where cobra would print its help and call that a success.
func refuseUnknown(cmd *cobra.Command) {
	if !cmd.HasSubCommands() || cmd.Runnable() {
		return
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unknown command %q for %q; --help lists them", args[0], cmd.CommandPath())
		}
		return cmd.Help()
	}
}

func seeHelp(cmd *cobra.Command, err error) error {
	if err == nil || strings.Contains(err.Error(), "--help") {
		return err
	}
	return fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath())
}

// loadConfig reads the configuration that cmd was given, over base.
func loadConfig(cmd *cobra.Command, base config.Config) (config.Config, error) {
	path, err := cmd.Flags().GetString("config")
	if err != nil {
		return config.Config{}, err
	}
	for _, name := range config.UnknownVariables(os.Environ()) {
		fmt.Fprintf(cmd.ErrOrStderr(), "downstream-node: warning: %s is no setting; docs/configuration.md lists them all\n", name)
	}
	return config.LoadOver(base, path, os.Environ())
}
