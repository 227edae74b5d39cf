package main

import (
	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/config"
)

func newConfigCommand() *cobra.Command {
	var standalone bool
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print the configuration in force, with secrets masked",
		Long: "Prints the configuration in force for api, worker and the commands on the\n" +
			"records, with secrets masked; with --standalone, the one of a standalone node.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			base := app.Default()
			if standalone {
				base = app.StandaloneDefaults("data", 0)
			}
			cfg, err := loadConfig(cmd, base)
			if err != nil {
				return err
			}
			text, err := config.Redacted(cfg)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	cmd.Flags().BoolVar(&standalone, "standalone", false, "the one that downstream-node standalone runs with")
	return cmd
}
