package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/internal/node"
)

// newFarmStatusCommand and the commands below work on the directory of `farm`, which dir
// names.
func newFarmStatusCommand(dir, caFile *string) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show what the farmers store, what their node says about them, and why contracts ended",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			group, err := readGroup(*dir)
			if err != nil {
				return err
			}
			return farmStatus(cmd, group, *caFile)
		},
	}
}

// readGroup is farmer.ReadGroup, but fails if there is no farmer.
func readGroup(dir string) ([]farmer.Stored, error) {
	group, err := farmer.ReadGroup(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(group) == 0 {
		return nil, fmt.Errorf("there is no farmer in %s: name the directory that `downstream-node farm` was started with: --dir DIR", dir)
	}
	return group, err
}

// shownEvents is how many events of each farmer status prints.
const shownEvents = 10

// reasons says why contracts ended, for events without a reason.
var reasons = map[string]string{
	string(node.EventVoid):    "the node had a fault, so this does not count against the farmer",
	string(node.EventExpired): "a challenge was not answered in time",
	string(node.EventWrong):   "the last challenge got only wrong proofs",
}

func farmStatus(cmd *cobra.Command, group []farmer.Stored, caFile string) error {
	var unreachable error
	events := map[string][]farmer.FarmerEvent{}
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FARMER\tADDRESS\tFILES\tBYTES\tNODE\tONLINE\tSTANDING\tUPTIME\tHEARTBEATS")
	for _, one := range group {
		if one.FarmerID == "" {
			fmt.Fprintf(table, "%s has not joined a node\n", one.Dir)
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s", one.FarmerID, one.Address, one.Contracts, humanize.IBytes(uint64(one.Bytes)), one.Node)
		at, last, err := askNode(cmd.Context(), one, caFile)
		if err != nil {
			unreachable = fmt.Errorf("what the node says about %s is missing: %w", one.FarmerID, err)
			fmt.Fprintln(table, "\tunknown\tunknown\tunknown\tunknown")
			continue
		}
		fmt.Fprintf(table, "\t%s\t%s\t%.2f%%\t%d\n", yesNo(at.Online), at.Standing, at.Uptime, at.Heartbeats)
		events[one.FarmerID] = last[:min(len(last), shownEvents)]
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, one := range group {
		for i, e := range events[one.FarmerID] {
			if i == 0 {
				fmt.Fprintf(table, "\n%s\nTIME\tEVENT\tFILE\tREASON\n", one.FarmerID)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", whenever(time.Unix(e.Time, 0)), e.Kind, e.FileHash, cmp.Or(e.Reason, reasons[e.Kind]))
		}
	}
	return errors.Join(table.Flush(), unreachable)
}

func askNode(ctx context.Context, one farmer.Stored, caFile string) (at farmer.FarmerStatus, events []farmer.FarmerEvent, err error) {
	if one.Node == "" {
		return at, nil, errors.New("its directory does not say which node it joined, because it last ran with an older program; run `downstream-node farm` once")
	}
	client, err := farmClient(one.Node, caFile)
	if err != nil {
		return at, nil, err
	}
	defer client.Close()
	if at, err = client.StatusShow(ctx, one.FarmerID); err != nil {
		return at, nil, err
	}
	events, err = client.StatusEvents(ctx, one.FarmerID)
	return at, events, err
}

func newFarmVerifyCommand(dir *string) *cobra.Command {
	var repair bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Compare each stored file and tag with its hash; the farmers must not run",
		Long: "Reads each stored file and its tag, and compares their hashes. It exits with 1 if one is\n" +
			"missing or damaged. With --repair, it writes such files again. Only the node can make a\n" +
			"tag, so a contract without its tag is lost: the farmer drops it and takes another one.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return onGroup(*dir, func(group []farmer.Stored) error {
				contracts, bad, lost := int64(0), int64(0), int64(0)
				for _, one := range group {
					contracts += int64(one.Contracts)
					if err := one.Verify(cmd.Context(), repair, func(file, problem string) {
						bad++
						fmt.Fprintf(cmd.OutOrStdout(), "%s: file %s %s\n", one.Dir, file, problem)
					}, func(file, problem string) {
						lost++
						fmt.Fprintf(cmd.OutOrStdout(), "%s: file %s %s, so its contract is lost\n", one.Dir, file, problem)
					}); err != nil {
						return err
					}
				}
				switch {
				case contracts == 0:
					fmt.Fprintf(cmd.OutOrStdout(), "the farmers in %s have no contracts, so there is nothing to compare\n", *dir)
				case bad > 0 && !repair:
					return fmt.Errorf("%d of %s cannot be proved; with --repair, this command writes files that are missing or damaged again", bad+lost, node.Counted(contracts, "file"))
				case bad > 0:
					fmt.Fprintf(cmd.OutOrStdout(), "wrote %s again\n", node.Counted(bad, "file"))
				case lost == 0:
					fmt.Fprintf(cmd.OutOrStdout(), "all is well: %s\n", node.Counted(contracts, "file"))
				}
				if lost > 0 {
					return fmt.Errorf("%s lost; the farmer drops them when it runs, and takes others", node.Counted(lost, "contract"))
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&repair, "repair", false, "write missing and damaged files again")
	return cmd
}

func newFarmLeaveCommand(dir *string) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "leave",
		Short: "Stop farming for good: delete the farmers' tokens and files",
		Long: "Deletes the farmers' tokens and files. The node is not told: it counts each contract as\n" +
			"expired when its challenge is due. The farmer's score can never be used again, but its token\n" +
			"still counts toward the node's limit of tokens for an IP address, until the node's operator\n" +
			"deletes it. To farm again later, only stop `downstream-node farm`. It asks before.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return onGroup(*dir, func(group []farmer.Stored) error {
				contracts := int64(0)
				for _, one := range group {
					contracts += int64(one.Contracts)
				}
				loss := fmt.Sprintf("%s with %s in %s will be deleted", node.Counted(int64(len(group)), "farmer"), node.Counted(contracts, "contract"), *dir)
				if err := confirm(cmd, yes, loss); err != nil {
					return err
				}
				for _, one := range group {
					if err := one.Leave(); err != nil {
						return err
					}
				}
				fmt.Fprintf(cmd.OutOrStdout(), "deleted %s with %s\n", node.Counted(int64(len(group)), "farmer"), node.Counted(contracts, "contract"))
				return nil
			})
		},
	}
	addYes(cmd, &yes, "delete without asking")
	return cmd
}

// onGroup runs do while no other process uses the directory.
func onGroup(dir string, do func([]farmer.Stored) error) error {
	if _, err := readGroup(dir); err != nil {
		return err
	}
	unlock, err := app.LockDir(dir)
	if err != nil {
		return err
	}
	defer unlock()
	group, err := readGroup(dir)
	if err != nil {
		return err
	}
	return do(group)
}
