package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

func newKeysCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "Show and replace the heartbeat keys"}
	cmd.PersistentFlags().String("data", "", "the directory of a standalone node's keys (default: that of its database)")
	cmd.AddCommand(&cobra.Command{
		Use:   "list",
		Short: "List the heartbeat keys that the database knows",
		Long: "Lists the heartbeat keys that the database knows. A key is `new` until all processes\n" +
			"have it, then `active`. If another key replaces it, it is `retiring` as long as contracts\n" +
			"or farmers need it, and then `retired`.",
		Args: cobra.NoArgs,
		RunE: listKeys,
	}, newRotateCommand(), &cobra.Command{
		Use:   "retire FINGERPRINT",
		Short: "Delete the file of a retired key of a standalone node",
		Long: "Deletes the file of a retired key of a standalone node. It refuses if contracts or farmers\n" +
			"still need the key. The first digits of the fingerprint are enough. A node with\n" +
			"heartbeat.keyFiles deletes nothing; it says whether the file can be removed.",
		Args: cobra.ExactArgs(1),
		RunE: retireKey,
	})
	return cmd
}

func listKeys(cmd *cobra.Command, _ []string) error {
	return withTables(cmd, func(ctx context.Context, _ app.Config, st *store.Store) error {
		keys, err := st.Keys(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "FINGERPRINT\tSCHEME\tSTATE\tCONTRACTS LEFT\tMADE")
		for _, k := range keys {
			state, left := string(k.State()), "-"
			if k.State() == store.KeyRetiring && k.Need >= 0 {
				left = fmt.Sprint(k.Need)
			}
			if k.Compromised {
				state += ", compromised"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", store.ShortKey(k.Fingerprint), k.Type, state, left, k.Created.Format(time.RFC3339))
		}
		return table.Flush()
	})
}

func newRotateCommand() *cobra.Command {
	var out string
	var compromised bool
	cmd := &cobra.Command{
		Use:   "rotate [--out FILE]",
		Short: "Make a key that replaces the present one",
		Long: "Makes a heartbeat key with new secrets that replaces the present one. Farmers do not notice\n" +
			"it. A standalone node uses the key within seconds. Any other node needs --out: make the\n" +
			"file the first of heartbeat.keyFiles, keep the old file there until `keys list` shows the\n" +
			"old key as retired, and restart the processes one after another.\n\n" +
			"With --compromised, another person may know the old keys: as soon as the new key\n" +
			"replaces them, their chunks are deleted and their Merkle contracts end with their current\n" +
			"challenge, so that farmers get other chunks.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&out, "out", "", "where to write the key, if the node has heartbeat.keyFiles")
	cmd.Flags().BoolVar(&compromised, "compromised", false, "another person may know the present keys")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withTables(cmd, func(ctx context.Context, cfg app.Config, st *store.Store) error {
			dir := keyDir(cmd, cfg)
			files, standalone, err := keyFiles(cfg, dir)
			if err != nil {
				return err
			}
			if _, err := keyring.Load(files); err != nil {
				return fmt.Errorf("the node cannot use its present keys: %w; restore this file, or remove it if nothing needs the key", err)
			}
			switch {
			case standalone && out != "":
				return errors.New("--out is for nodes with heartbeat.keyFiles; a standalone node finds its keys beside its database, so leave it out")
			case standalone:
				out = app.NextKeyFile(dir)
			case out == "":
				return errors.New("this node has heartbeat.keyFiles: name the new file with --out, and make it the first of heartbeat.keyFiles")
			}
			known, err := st.Keys(ctx)
			if err != nil {
				return err
			}
			if compromised {
				var ids []int64
				for _, k := range known {
					ids = append(ids, k.ID)
				}
				if err := st.Compromise(ctx, ids); err != nil {
					return err
				}
			}
			made, err := keyring.Rotate(files[0], out)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "made the key %s in %s; back it up\n", store.ShortKey(made), out)
			act := "made the key " + store.ShortKey(made)
			if compromised {
				act += ", and declared the keys before it compromised"
			}
			if standalone {
				fmt.Fprintln(cmd.OutOrStdout(), "a running node uses it after about 30 seconds; `keys list` shows when nothing needs the old key")
			} else {
				fmt.Fprintln(cmd.OutOrStdout(), "make it the first of heartbeat.keyFiles, keep the other files, and restart the processes one after another")
			}
			return audit(ctx, st, "%s", act)
		})
	}
	return cmd
}

// keyDir returns the directory in which a standalone node keeps its keys.
func keyDir(cmd *cobra.Command, cfg app.Config) string {
	dir, _ := cmd.Flags().GetString("data") // the flag exists
	return cmp.Or(dir, filepath.Dir(cfg.Database.Path))
}

// keyFiles returns the key files of a node, the newest first, and whether it is a standalone
// node that keeps them in dir.
func keyFiles(cfg app.Config, dir string) (files []string, standalone bool, err error) {
	if len(cfg.Heartbeat.KeyFiles) > 0 {
		return cfg.Heartbeat.KeyFiles, false, nil
	}
	if cfg.Database.Driver != store.SQLite {
		return nil, false, errors.New("no heartbeat key: set heartbeat.keyFiles")
	}
	if files = app.StandaloneKeyFiles(dir); len(files) == 0 {
		return nil, true, fmt.Errorf("there is no heartbeat key in %s; name the directory that the node was started with: --data DIR", dir)
	}
	return files, true, nil
}

func retireKey(cmd *cobra.Command, args []string) error {
	return withTables(cmd, func(ctx context.Context, cfg app.Config, st *store.Store) error {
		known, err := st.Keys(ctx)
		if err != nil {
			return err
		}
		key, err := store.FindKey(known, args[0])
		if err != nil {
			return err
		}
		if state := key.State(); state == store.KeyRetiring {
			return fmt.Errorf("the key %s is still needed, by %s when they were last counted; wait until `keys list` shows it as retired", store.ShortKey(key.Fingerprint), node.Counted(max(key.Need, 0), "contract"))
		} else if state != store.KeyRetired {
			return fmt.Errorf("the key %s is %s; replace it with `keys rotate` first", store.ShortKey(key.Fingerprint), state)
		}
		files, standalone, err := keyFiles(cfg, keyDir(cmd, cfg))
		if err != nil {
			return err
		}
		file, err := keyring.FileOf(files, key.Fingerprint)
		switch {
		case err != nil:
			return err
		case file == "":
			fmt.Fprintf(cmd.OutOrStdout(), "nothing needs the key %s, and no key file contains it\n", store.ShortKey(key.Fingerprint))
			return nil
		case !standalone:
			fmt.Fprintf(cmd.OutOrStdout(), "nothing needs the key %s; remove %s from heartbeat.keyFiles, then delete the file\n", store.ShortKey(key.Fingerprint), file)
			return nil
		}
		if err := os.Remove(file); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "deleted %s; keep a backup of the key as long as you keep backups of the database from its time\n", file)
		return audit(ctx, st, "deleted the file of the retired key %s", store.ShortKey(key.Fingerprint))
	})
}
