package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/backup"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

func newRestoreCommand() *cobra.Command {
	var data, identity string
	cmd := &cobra.Command{
		Use:   "restore FILE [--data DIR] [--identity KEYFILE]",
		Short: "Restore a standalone node from a backup",
		Long: "Makes the data directory of a standalone node from a backup that `backup write` made: its\n" +
			"database and its heartbeat keys. The directory must be empty or missing. If the command\n" +
			"fails, it leaves nothing behind.",
		Example: "  downstream-node restore backups/downstream-20260102T030405Z.tar.gz.age --identity key.txt --data data\n" +
			"  downstream-node standalone --data data",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, closeFile, err := openBackup(args[0], identity)
			if err != nil {
				return err
			}
			defer closeFile()
			if !b.SQLite {
				return errors.New("the backup has a dump of MySQL: unpack it with `age -d -i KEYFILE FILE | tar xz`, load dump.sql into an empty database," +
					" and run `downstream-node db verify`; on Kubernetes, use `kubectl downstream restore`")
			}
			return restore(cmd, b, data)
		},
	}
	cmd.Flags().StringVar(&data, "data", "data", "directory for the database and the heartbeat keys")
	cmd.Flags().StringVar(&identity, "identity", "", identityUsage)
	return cmd
}

// restore makes the files in a directory inside the data directory, and then moves them up. It
// needs no right to write beside the data directory, which may be a mount point.
func restore(cmd *cobra.Command, b *backup.Reader, data string) (err error) {
	data = filepath.Clean(data)
	err = checkEmpty(data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.Mkdir(data, 0o700); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				_ = os.Remove(data) // it is empty by then
			}
		}()
	case err != nil:
		return err
	}
	unlock, err := app.LockDir(data) // otherwise a node that starts now would make its own database
	if err != nil {
		return err
	}
	defer unlock()
	defer func() {
		if err != nil {
			_ = os.Remove(filepath.Join(data, app.LockFile))
		}
	}()
	if err := checkEmpty(data, app.LockFile); err != nil {
		return err
	}
	made, err := os.MkdirTemp(data, ".restore-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(made)
	cfg := app.StandaloneDefaults(made, 0)
	for _, key := range b.Keys {
		file := filepath.Join(made, filepath.Base(key.Name))
		if err := os.WriteFile(file, key.File, 0o600); err != nil {
			return err
		}
		cfg.Heartbeat.KeyFiles = append(cfg.Heartbeat.KeyFiles, file)
	}
	database, err := os.OpenFile(cfg.Database.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err = b.WriteTo(database); err != nil {
		return errors.Join(err, database.Close())
	}
	if err := errors.Join(database.Sync(), database.Close()); err != nil {
		return err
	}
	if err := onStore(cmd, cfg, func(ctx context.Context, st *store.Store) error { return renew(ctx, cmd, cfg, st, b) }); err != nil {
		return err
	}
	if err := moveUp(made, filepath.Base(cfg.Database.Path)); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "restored %s and %s of %s, as of %s, into %s\nStart the node: downstream-node standalone --data %[5]s\n",
		node.Counted(b.Contracts, "contract"), node.Counted(int64(len(b.Keys)), "heartbeat key"), b.Node, b.Created.Format(time.RFC3339), data)
	return nil
}

// checkEmpty returns an error if a directory has anything but the named files and what the
// file system makes.
func checkEmpty(dir string, except ...string) error {
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		if name := entry.Name(); name != "lost+found" && !slices.Contains(except, name) {
			return fmt.Errorf("%s is not empty, and a restore would replace what it has: stop its node and move it away with `mv %[1]s %[1]s.old`, or name another directory with --data", dir)
		}
	}
	return err
}

// moveUp moves all files of a directory into its parent, the file named last as the last one:
// a directory with a database is complete. If it fails, it removes what it has moved.
func moveUp(dir, last string) (err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	names := []string{}
	for _, entry := range entries {
		if entry.Name() != last {
			names = append(names, entry.Name())
		}
	}
	for i, name := range append(names, last) {
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(filepath.Dir(dir), name)); err != nil {
			for _, moved := range names[:i] {
				err = errors.Join(err, os.Remove(filepath.Join(filepath.Dir(dir), moved)))
			}
			return err
		}
	}
	return nil
}

// renew brings a restored database to this program's version, and says there that it was
// restored. It returns an error if the database and the keys do not fit together.
func renew(ctx context.Context, cmd *cobra.Command, cfg app.Config, st *store.Store, b *backup.Reader) error {
	cfg.Node.Name = b.Node
	if err := migrate(ctx, cmd, cfg, st); err != nil {
		return err
	}
	if err := errors.Join(st.Restored(ctx), st.Disown(ctx)); err != nil {
		return err
	}
	now, err := st.Now(ctx)
	if err != nil {
		return err
	}
	if _, err := st.Repair(ctx, now); err != nil {
		return err
	}
	found, err := inspect(ctx, cfg, st)
	if err == nil {
		err = found.problem()
	}
	if err != nil {
		return err
	}
	return audit(ctx, st, "restored the backup of %s", b.Created.Format(time.RFC3339))
}
