package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/program"
)

func newNodeFarmersCommand(access *clusterAccess) *cobra.Command {
	q := farmer.StatusQuery{}
	cmd := &cobra.Command{
		Use:   "farmers NAME",
		Short: "List a node's farmers",
		Long: "Lists a node's farmers, through the API server's proxy to the node's Service. You\n" +
			"need the right to get services/proxy.",
		Example: "  kubectl downstream farmers downstream --online --sort score --descending --limit 20",
		RunE: onNode(access, func(ctx context.Context, cmd *cobra.Command, c *cluster, name string) error {
			return c.printFarmers(ctx, cmd.OutOrStdout(), name, q)
		}),
	}
	flags := cmd.Flags()
	flags.BoolVar(&q.Online, "online", false, "list only farmers that are online")
	flags.StringVar(&q.Sort, "sort", "", "sort by "+strings.Join(node.FarmerSorts[:], ", "))
	flags.BoolVar(&q.Descending, "descending", false, "with --sort, list the largest first")
	flags.IntVar(&q.Limit, "limit", 0, "list at most this number of farmers; 0 lists all")
	flags.IntVar(&q.Page, "page", 0, "with --limit, list this page; the first is 0")
	program.CompleteWith(cmd, "sort", node.FarmerSorts[:]...)
	return cmd
}

func (c *cluster) printFarmers(ctx context.Context, w io.Writer, name string, q farmer.StatusQuery) error {
	of, err := c.node(ctx, name)
	if err != nil {
		return err
	}
	api, err := c.farmerAPI(of)
	if err != nil {
		return err
	}
	farmers, err := api.StatusList(ctx, q)
	if err != nil {
		if refused, ok := errors.AsType[*farmer.Error](err); ok && !refused.FromNode {
			return fmt.Errorf("reach the node through the API server's proxy: %w", err)
		}
		return err
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "ID\tADDRESS\tONLINE\tSTANDING\tSCORE\tUPTIME\tHEARTBEATS\tCONTRACTS\tSIZE\tCOUNTRY\tLAST DUE")
	for _, f := range farmers {
		fmt.Fprintf(out, "%s\t%s\t%t\t%s\t%s\t%.2f%%\t%d\t%d\t%s\t%s\t%s\n",
			f.ID, f.Address, f.Online, orDash(&f.Standing), scoreOf(f), f.Uptime, f.Heartbeats, f.Contracts,
			humanize.IBytes(uint64(max(f.Size, 0))), orDash(f.Location.Country), lastDue(f.LastDue))
	}
	return out.Flush()
}

// scoreOf formats the lower bound of a farmer's score.
func scoreOf(f farmer.FarmerStatus) string {
	if f.Score == nil { // there is no evidence
		return "-"
	}
	return fmt.Sprintf("≥%.2f%%", f.Score.Lower)
}

func orDash(text *string) string {
	if text == nil || *text == "" {
		return "-"
	}
	return *text
}

// lastDue formats the time that this project's nodes send. Other nodes may send another
// JSON value; lastDue returns that value unchanged.
func lastDue(raw json.RawMessage) string {
	var text *string
	if err := json.Unmarshal(raw, &text); err != nil {
		return string(raw)
	}
	return orDash(text)
}
