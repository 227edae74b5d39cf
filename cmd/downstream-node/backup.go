package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"filippo.io/age"
	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/backup"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/program"
	"github.com/driveshare/downstream-node/internal/store"
)

func newBackupCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "backup", Short: "Write and check backups of the database and the heartbeat keys"}
	configured(cmd, newWriteBackupCommand())
	cmd.AddCommand(newShowBackupCommand(), newReadBackupCommand())
	return cmd
}

// backupOptions are the flags of `backup write`.
type backupOptions struct {
	dump, to, resource string
	recipients         []string
	keep               int
}

func newWriteBackupCommand() *cobra.Command {
	var opt backupOptions
	cmd := &cobra.Command{
		Use:   "write --to DIR [--recipient KEY] [--dump FILE]",
		Short: "Write the database and the heartbeat keys into one file",
		Long: "Writes the database, the heartbeat keys and a manifest into one file in a directory,\n" +
			"encrypted with age if there is a --recipient. Then it deletes the oldest backups of this\n" +
			"node there. It refuses if the node lacks a key that the database needs. `restore` restores\n" +
			"the backup of a standalone node, which may run while the backup is made. A backup of MySQL\n" +
			"needs a --dump that mariadb-dump or mysqldump made, and a --recipient.",
		Example: "  downstream-node backup write --to backups --recipient age1...\n" +
			"  mariadb-dump --single-transaction downstream >dump.sql\n  downstream-node backup write --dump dump.sql --to backups --recipient age1... --config node.yaml",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withTables(cmd, func(ctx context.Context, cfg app.Config, st *store.Store) error {
				return writeBackup(ctx, cmd.OutOrStdout(), cfg, st, opt)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opt.dump, "dump", "", "file with the dump of MySQL")
	flags.StringVar(&opt.to, "to", "", "directory for the backups")
	flags.StringArrayVar(&opt.recipients, "recipient", nil, "public key of age that can decrypt the backup; may be given several times")
	flags.IntVar(&opt.keep, "keep", 7, "how many backups of this node stay in the directory")
	flags.StringVar(&opt.resource, "resource", "", "file with the DownstreamNode, as JSON; it becomes part of the backup")
	if err := cmd.MarkFlagRequired("to"); err != nil {
		panic(err) // impossible: the flag exists
	}
	return cmd
}

func writeBackup(ctx context.Context, out io.Writer, cfg app.Config, st *store.Store, opt backupOptions) error {
	if opt.keep < 1 {
		return fmt.Errorf("--keep is %d; it must be at least 1", opt.keep)
	}
	sqlite := cfg.Database.Driver == store.SQLite
	switch {
	case sqlite && opt.dump != "":
		return errors.New("--dump is for MySQL; the command copies a database of SQLite without it")
	case !sqlite && opt.dump == "":
		return errors.New("a backup of MySQL needs a --dump that mariadb-dump or mysqldump made")
	}
	var recipients []age.Recipient
	if !sqlite || len(opt.recipients) > 0 {
		var err error
		if recipients, err = backup.ParseRecipients(opt.recipients); err != nil {
			return err
		}
	}
	found, err := inspect(ctx, cfg, st)
	if err != nil {
		return err
	}
	if len(found.missing()) > 0 || len(found.keys) == 0 {
		return fmt.Errorf("a backup without these keys would be useless: %w", found.problem())
	}
	m, err := manifest(found, opt.resource)
	if err != nil {
		return err
	}
	dir := backup.Dir{Path: opt.to, Node: found.node}
	database, err := openDatabase(ctx, st, dir, opt.dump)
	if err != nil {
		return err
	}
	defer database.Close()
	info, err := database.Stat()
	if err != nil {
		return err
	}
	content := io.Reader(database)
	m.SQLite, m.DumpBytes = sqlite, info.Size()
	if !sqlite {
		m.DumpBytes += int64(len(store.AfterRestore))
		content = io.MultiReader(database, strings.NewReader(store.AfterRestore))
	}
	name, deleted, err := dir.Save(m.Created, opt.keep, m.DumpBytes, recipients != nil, func(w io.Writer) error {
		return backup.Write(w, recipients, m, content)
	})
	if name != "" {
		fmt.Fprintf(out, "wrote the backup %s: %s, %s, a database of %s; deleted %s\n", name, node.Counted(m.Contracts, "contract"),
			node.Counted(int64(len(m.Keys)), "heartbeat key"), humanize.IBytes(uint64(m.DumpBytes)), node.Counted(int64(len(deleted)), "older backup"))
	}
	if name != "" && recipients == nil {
		fmt.Fprintln(out, "It is not encrypted, and whoever reads it has the heartbeat keys: keep it where only you can read it, or use --recipient.")
	}
	return err
}

// openDatabase opens the dump, or makes and opens a copy of an SQLite database. The copy is
// removed when it is closed.
func openDatabase(ctx context.Context, st *store.Store, dir backup.Dir, dump string) (*os.File, error) {
	if dump != "" {
		file, err := os.Open(dump)
		if err != nil {
			return nil, err
		}
		if _, err := backup.CheckDump(file); err != nil {
			return nil, errors.Join(err, file.Close())
		}
		return file, nil
	}
	file, err := dir.Temporary()
	if err != nil {
		return nil, fmt.Errorf("--to must be a directory in which backups can be written: %w", err)
	}
	defer os.Remove(file.Name()) // the content stays until the file is closed
	if err := st.CopyTo(ctx, file.Name()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// manifest describes what a backup of the inspected node contains. It has the key files.
func manifest(found inspection, resource string) (m backup.Manifest, err error) {
	m = backup.Manifest{
		Node: found.node, Version: program.Release(), Schema: found.Have, Created: time.Now().UTC().Truncate(time.Second),
		Heartbeat: found.Heartbeat, Contracts: found.Live,
	}
	for _, own := range found.keys {
		file, err := os.ReadFile(own.file)
		if err != nil {
			return m, err
		}
		key, err := backup.NewKey(filepath.Base(own.file), config.TrimBOM(file))
		if err != nil {
			return m, err
		}
		m.Keys = append(m.Keys, key)
	}
	if resource != "" {
		if m.Resource, err = os.ReadFile(resource); err != nil {
			return m, err
		}
		if !json.Valid(m.Resource) {
			return m, fmt.Errorf("--resource %s is not JSON", resource)
		}
	}
	return m, nil
}

func newShowBackupCommand() *cobra.Command {
	var identity string
	cmd := &cobra.Command{
		Use:   "show FILE [--identity KEYFILE]",
		Short: "Show what a backup contains, and check that it is complete",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, closeFile, err := openBackup(args[0], identity)
			if err != nil {
				return err
			}
			defer closeFile()
			if _, err := b.WriteTo(io.Discard); err != nil {
				return err
			}
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintf(table, "node\t%s\ncreated\t%s\nversion\t%s\ntables\tversion %d\ncontracts\t%d\nlast heartbeat\t%s\n",
				b.Node, b.Created.Format(time.RFC3339), b.Version, b.Schema, b.Contracts, whenever(b.Heartbeat))
			for _, k := range b.Keys {
				fmt.Fprintf(table, "key %s\t%s, %s\n", store.ShortKey(k.Fingerprint), k.Type, k.Name)
			}
			fmt.Fprintf(table, "database\t%s\n", humanize.IBytes(uint64(b.DumpBytes)))
			return table.Flush()
		},
	}
	cmd.Flags().StringVar(&identity, "identity", "", identityUsage)
	return cmd
}

const identityUsage = "identity file of age, if the backup is encrypted"

// openBackup opens a backup. identity is the path of an identity file, or "".
func openBackup(path, identity string) (b *backup.Reader, closeFile func() error, err error) {
	var secret []byte
	if identity != "" {
		if secret, err = os.ReadFile(identity); err != nil {
			return nil, nil, err
		}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	if b, err = backup.Open(file, secret); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
	}
	return b, file.Close, nil
}

// newReadBackupCommand makes a command for `kubectl downstream backup`: the image has no
// shell, so this command lists the backups on a volume, and copies one of them.
func newReadBackupCommand() *cobra.Command {
	var hold time.Duration
	cmd := &cobra.Command{
		Use:    "read DIR [FILE]",
		Short:  "List the files in a directory, or copy one to standard output",
		Hidden: true,
		Args:   cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				file, err := os.Open(filepath.Join(args[0], filepath.Base(args[1])))
				if err != nil {
					return err
				}
				defer file.Close()
				_, err = io.Copy(cmd.OutOrStdout(), file)
				return err
			}
			entries, err := os.ReadDir(args[0])
			if err != nil {
				return err
			}
			for _, e := range entries {
				if info, err := e.Info(); err == nil && info.Mode().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
					fmt.Fprintln(cmd.OutOrStdout(), e.Name(), info.Size())
				}
			}
			select {
			case <-cmd.Context().Done():
			case <-time.After(hold):
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&hold, "hold", 0, "how long to wait before the command ends")
	return cmd
}
