package program

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// newManCommand returns the hidden command that writes a program's manual pages, for its
// package. The date of the pages is SOURCE_DATE_EPOCH if it is set, so that two releases
// of the same commit have the same pages.
func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIRECTORY",
		Short:  "Write a manual page for each command",
		Args:   cobra.ExactArgs(1),
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			withoutTag(root)
			if err := os.MkdirAll(args[0], 0o777); err != nil {
				return err
			}
			return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: root.Name() + " " + Release()}, args[0])
		},
	}
}

// withoutTag omits the line in which cobra names itself.
func withoutTag(cmd *cobra.Command) {
	cmd.DisableAutoGenTag = true
	for _, child := range cmd.Commands() {
		withoutTag(child)
	}
}
