// Command downstream-node is a proof-of-storage verification node. It runs the API that
// farmers call, or a worker that verifies their proofs. On a laptop it can run both in
// one process. It also has the commands that maintain the node's records.
//
// It does not import Kubernetes packages. cmd/downstream-operator is the operator, which
// runs nodes on a cluster.
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
	configured(root,
		newStandaloneCommand(),
		newAPICommand(),
		newWorkerCommand(),
		newDoctorCommand(),
		newDBCommand(),
		newWhitelistCommand(),
		newTokensCommand(),
		newFarmersCommand(),
		newChunksCommand(),
		newFilesCommand(),
		newKeysCommand(),
		newQueueCommand(),
		newMaintenanceCommand(),
		newAuditCommand(),
		newConfigCommand(),
	)
	root.AddCommand(newBackupCommand(), newRestoreCommand(), newFarmCommand(), heartbeatcmd.New())
	program.Prepare(root)
	return root
}

// configured adds commands that read the configuration of a node, with the flag --config.
func configured(parent *cobra.Command, commands ...*cobra.Command) {
	for _, cmd := range commands {
		cmd.PersistentFlags().String("config", os.Getenv("DOWNSTREAM_CONFIG"),
			"configuration file, YAML (DOWNSTREAM_CONFIG); environment variables override it")
		if err := cmd.MarkPersistentFlagFilename("config", "yaml", "yml"); err != nil {
			panic(err) // impossible: the flag exists
		}
		parent.AddCommand(cmd)
	}
}

// loadConfig reads the configuration file that cmd's flag names, and the environment
// variables. Settings that neither contains keep the values in base.
func loadConfig(cmd *cobra.Command, base app.Config) (app.Config, error) {
	path, err := cmd.Flags().GetString("config")
	if err != nil {
		return app.Config{}, err
	}
	for _, name := range config.UnknownVariables(&base, os.Environ()) {
		fmt.Fprintf(cmd.ErrOrStderr(), "downstream-node: warning: %s is not a setting; docs/reference/configuration.md lists them all\n", name)
	}
	return config.Load(base, path, os.Environ())
}
