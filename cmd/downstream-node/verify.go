package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

func newVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Check that the database, the heartbeat keys and this node fit together",
		Long: "Checks that the database, the heartbeat keys and this node fit together, for example after\n" +
			"the database was restored from a backup: the version of the tables, the owner\n" +
			"(node.name), the keys that contracts need (heartbeat.keyFiles, or the keys beside the\n" +
			"database of a standalone node), and the counts of contracts. It changes nothing, and the\n" +
			"node may run. If something does not fit, it says what to do and exits with 1.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd, app.Default())
			if err != nil {
				return err
			}
			return onStore(cmd, cfg, func(ctx context.Context, st *store.Store) error {
				found, err := inspect(ctx, cfg, st)
				if err != nil {
					return err
				}
				if err := found.print(cmd.OutOrStdout()); err != nil {
					return err
				}
				if err := found.problem(); err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), "the database, the keys and this node fit together")
				return nil
			})
		},
	}
}

// inspection is what verify compares: a database, the key files of a node, and its name.
type inspection struct {
	store.Survey
	server error // why the settings of the database server do not fit
	node   string
	keys   []ownKey
}

// ownKey is a key file of the node.
type ownKey struct {
	file string
	key  heartbeat.Heartbeat
}

func inspect(ctx context.Context, cfg app.Config, st *store.Store) (found inspection, err error) {
	files := cfg.Heartbeat.KeyFiles
	if len(files) == 0 && cfg.Database.Driver == store.SQLite {
		files = app.StandaloneKeyFiles(filepath.Dir(cfg.Database.Path))
	}
	heartbeats, err := keyring.Load(files)
	if err != nil {
		return found, err
	}
	found.node, found.server = cfg.Node.Name, st.CheckServer(ctx)
	for i, hb := range heartbeats {
		found.keys = append(found.keys, ownKey{files[i], hb})
	}
	found.Survey, err = st.Survey(ctx)
	return found, err
}

// missing lists the keys that the database needs and no key file has.
func (i inspection) missing() (keys []store.KeyUse) {
	for _, k := range i.Keys {
		if k.Needed() && i.file(k.KeyRecord) == "" {
			keys = append(keys, k)
		}
	}
	return keys
}

// file returns the file with a key, or "".
func (i inspection) file(k store.KeyRecord) string {
	at := slices.IndexFunc(i.keys, func(own ownKey) bool {
		return schemes.Fingerprint(own.key) == k.Fingerprint && string(own.key.Type()) == k.Type
	})
	if at < 0 {
		return ""
	}
	return i.keys[at].file
}

func (i inspection) print(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "tables\tversion %d; this program needs %d\n", i.Have, i.Want)
	if i.Have == i.Want {
		owner := "none"
		if i.Owner != (store.Owner{}) {
			owner = i.Owner.String()
		}
		fmt.Fprintf(out, "owner\t%s\n", owner)
		for _, k := range i.Keys {
			file := i.file(k.KeyRecord)
			if file == "" {
				file = "no key file"
			}
			fmt.Fprintf(out, "key %s\t%s, %s, needed by %s: %s\n", store.ShortKey(k.Fingerprint), k.Type, k.State(), node.Counted(k.Contracts, "contract"), file)
		}
		for _, own := range i.keys {
			print := schemes.Fingerprint(own.key)
			if !slices.ContainsFunc(i.Keys, func(k store.KeyUse) bool { return k.Fingerprint == print }) {
				fmt.Fprintf(out, "key %s\t%s, unknown to the database: %s\n", store.ShortKey(print), own.key.Type(), own.file)
			}
		}
		fmt.Fprintf(out, "contracts\t%d live\n", i.Live)
		fmt.Fprintf(out, "last heartbeat\t%s\n", whenever(i.Heartbeat))
		fmt.Fprintf(out, "last process seen\t%s\n", whenever(i.Seen))
	}
	return out.Flush()
}

func whenever(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

// problem returns an error that lists what does not fit and what to do, or nil.
func (i inspection) problem() error {
	var problems []string
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if i.server != nil {
		add("%v", i.server)
	}
	switch {
	case i.Have == 0:
		add("the database has no tables: restore the backup into it; for a new node, run `downstream-node db migrate`")
	case i.Have < i.Want:
		add("the tables are at version %d, older than this program needs: run `downstream-node db migrate`, and verify again", i.Have)
	case i.Have > i.Want:
		add("the tables are at version %d, newer than this program needs: use the version of the program that wrote them", i.Have)
	}
	if i.Owner.Name != "" && i.Owner.Name != i.node {
		add("the database belongs to the DownstreamNode %s, but this node is %s (node.name): use the database that belongs to this node; if the other node is deleted and this one replaces it, run `downstream-node db owner --remove`", i.Owner, i.node)
	}
	for _, k := range i.missing() {
		add("no key file has the %s key %s, needed by %s: restore the file with this fingerprint, and name it in heartbeat.keyFiles; on Kubernetes, restore its Secret", k.Type, k.Fingerprint, node.Counted(k.Contracts, "contract"))
	}
	if len(i.keys) == 0 {
		add("the node has no heartbeat key: name the files in heartbeat.keyFiles")
	}
	if i.Keyless > 0 {
		add("the keys of %s are not in the database, so the backup is not complete: restore another one", node.Counted(i.Keyless, "contract"))
	}
	if i.Miscounted > 0 {
		add("the counts of %s differ from their contracts, so the backup is not of one moment: run `downstream-node db restored`, which repairs this", node.Counted(i.Miscounted, "token"))
	}
	if problems == nil {
		return nil
	}
	return errors.New("the database, the keys and this node do not fit together:\n- " + strings.Join(problems, "\n- "))
}
