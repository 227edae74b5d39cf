// Command downstream-node is a proof-of-storage verification node: the API that
// farmers call, the workers that verify their proofs, both in one process for a
// laptop, and the commands that maintain the node's records.
//
// It imports nothing of Kubernetes. The operator that runs nodes on a cluster is
// cmd/downstream-operator.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/cmd/downstream-node/heartbeatcmd"
	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/program"
)

func main() { os.Exit(program.Run(newRootCommand(), os.Args[1:])) }

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "downstream-node",
		Short: "A proof-of-storage verification node",
		Long:  "downstream-node hands chunks to farmers, challenges them at intervals, verifies\ntheir proofs of storage and publishes how reliably each of them stores.",
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
		newFarmCommand(),
		heartbeatcmd.New(),
		newConfigCommand(),
		program.NewVersionCommand(),
	)
	program.PointToHelp(root)
	return root
}

// loadConfig reads the configuration that cmd was given, over base.
func loadConfig(cmd *cobra.Command, base app.Config) (app.Config, error) {
	path, err := cmd.Flags().GetString("config")
	if err != nil {
		return app.Config{}, err
	}
	for _, name := range config.UnknownVariables(&base, os.Environ()) {
		fmt.Fprintf(cmd.ErrOrStderr(), "downstream-node: warning: %s is not a setting; docs/configuration.md lists them all\n", name)
	}
	return config.Load(base, path, os.Environ())
}
