package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/program"
	"github.com/driveshare/downstream-node/internal/store"
)

// withTables loads the configuration, opens the records and runs do. It fails if
// the tables do not have this program's version.
func withTables(cmd *cobra.Command, do func(context.Context, app.Config, *store.Store) error) error {
	cfg, err := loadConfig(cmd, app.Default())
	if err != nil {
		return err
	}
	return onTables(cmd, cfg, func(ctx context.Context, st *store.Store) error { return do(ctx, cfg, st) })
}

// onTables is withTables for a configuration that is already loaded.
func onTables(cmd *cobra.Command, cfg app.Config, do func(context.Context, *store.Store) error) error {
	return onStore(cmd, cfg, func(ctx context.Context, st *store.Store) error {
		if err := app.CheckSchema(ctx, st); err != nil {
			return err
		}
		return do(ctx, st)
	})
}

// needDatabase returns an error if there is no SQLite database. To open it would make an
// empty one.
func needDatabase(cfg store.Config) error {
	if cfg.Driver != store.SQLite {
		return nil
	}
	if _, err := os.Stat(cfg.Path); !errors.Is(err, fs.ErrNotExist) {
		return nil // if the file cannot be used, SQLite says why
	}
	path, err := filepath.Abs(cfg.Path)
	if err != nil {
		path = cfg.Path
	}
	return fmt.Errorf("there is no database %s (database.path): run the command in the directory in which the node was started,"+
		" or name the node's configuration with --config; for a new node, run `downstream-node standalone` or `downstream-node db migrate`", path)
}

// onStore is onTables for tables of any version.
func onStore(cmd *cobra.Command, cfg app.Config, do func(context.Context, *store.Store) error) error {
	if err := needDatabase(cfg.Database); err != nil {
		return err
	}
	return onNewStore(cmd, cfg, do)
}

// onNewStore is onStore for a command that may create the database.
func onNewStore(cmd *cobra.Command, cfg app.Config, do func(context.Context, *store.Store) error) error {
	log := program.NewLogger(cfg.Log, os.Stderr)
	st, err := store.Open(cfg.Database, log)
	if err != nil {
		return err
	}
	defer st.Close()
	if cfg.Database.Driver != store.SQLite {
		if err := awaitServer(cmd.Context(), st, log); err != nil {
			return err
		}
	}
	st.SetScoreRules(cfg.Score.Rules())
	return do(cmd.Context(), st)
}

// serverWait is how long a command waits until the database accepts connections. In a new
// pod, a network policy may refuse them for some seconds after the start.
const serverWait = 30 * time.Second

func awaitServer(ctx context.Context, st *store.Store, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, serverWait)
	defer cancel()
	for first := true; ; first = false {
		err := st.Ping(ctx)
		if refused, ok := errors.AsType[*mysql.MySQLError](err); !errors.Is(err, store.ErrUnavailable) || ok && slices.Contains(store.WrongSettings, refused.Number) {
			return err
		}
		if first {
			log.Warn("cannot connect to the database, trying again", "for", serverWait.String(), "error", err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// withApp opens the parts of the node, registers the heartbeat keys and runs do. It
// starts no service.
func withApp(cmd *cobra.Command, do func(context.Context, *app.App) error) error {
	cfg, err := loadConfig(cmd, app.Default())
	if err != nil {
		return err
	}
	if len(cfg.Heartbeat.KeyFiles) == 0 && cfg.Database.Driver == store.SQLite {
		// A standalone node keeps its keys beside its database.
		cfg.Heartbeat.KeyFiles = app.StandaloneKeyFiles(filepath.Dir(cfg.Database.Path))
	}
	if err := needDatabase(cfg.Database); err != nil {
		return err
	}
	ctx := cmd.Context()
	a, err := app.Open(ctx, cfg, program.NewLogger(cfg.Log, os.Stderr), app.Options{Kind: app.KindCommand})
	if err != nil {
		return err
	}
	defer a.Close()
	if err := app.CheckSchema(ctx, a.Store); err != nil {
		return err
	}
	if err := a.Join(ctx); err != nil {
		return err
	}
	return do(ctx, a)
}

func newDBCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "db", Short: "Maintain the database"}
	cmd.AddCommand(newMigrateCommand(), newRestoredCommand(), newVerifyCommand(), newOwnerCommand(), &cobra.Command{
		Use:   "clean",
		Short: "Delete expired contracts, their tags, and files that nothing refers to",
		Long: "Does now what workers do in the background: subtracts expired contracts from their\n" +
			"farmers' counts, deletes those that expired contracts.retention ago, and then the\n" +
			"tags and files that nothing refers to. It also deletes the tokens that had no\n" +
			"contract within contracts.unusedTokenLife of their creation. Contracts that were due\n" +
			"while the node was away stay, until the node has moved their deadlines.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withTables(cmd, func(ctx context.Context, cfg app.Config, st *store.Store) error {
				now, err := st.Now(ctx)
				if err != nil {
					return err
				}
				done, err := st.Clean(ctx, cfg.Contracts.Retention, cfg.Sweep.Grace, now)
				if err != nil {
					return err
				}
				var tokens int64
				if unused := cfg.Contracts.UnusedTokenLife; unused > 0 {
					if tokens, err = st.DeleteUnusedTokens(ctx, now.Add(-unused), now); err != nil {
						return err
					}
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s expired; deleted %s, %s, %s, %s\n", node.Counted(done.Expired, "contract"),
					node.Counted(done.Contracts, "contract"), node.Counted(done.Tags, "tag"), node.Counted(done.Files, "file"), node.Counted(tokens, "unused token"))
				return nil
			})
		},
	})
	return cmd
}

func newRestoredCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "restored",
		Short: "Say that the database was restored from a backup",
		Long: "Run it after you have restored the database from a backup, and before or after you\n" +
			"start the node: running processes drop everything that they remember of the newer\n" +
			"database. It also repairs counts and rows that contradict each other.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withTables(cmd, func(ctx context.Context, _ app.Config, st *store.Store) error {
				if err := st.Restored(ctx); err != nil {
					return err
				}
				now, err := st.Now(ctx)
				if err != nil {
					return err
				}
				done, err := st.Repair(ctx, now)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "all processes drop their copies of rows within seconds; repaired the counts of %s, deleted %s\n",
					node.Counted(done.Counts, "token"), node.Counted(done.Rows, "row"))
				return audit(ctx, st, "declared the database restored")
			})
		},
	}
}

// mayGoDown refuses to change the tables under processes that run.
func mayGoDown(ctx context.Context, st *store.Store, to int64) error {
	have, want, err := st.SchemaVersion(ctx)
	if err != nil {
		return err
	}
	if to > have {
		return fmt.Errorf("the tables are at version %d, so they cannot go back to version %d; nothing was changed", have, to)
	}
	if have != want {
		return nil // what is known about processes may be in other tables
	}
	found, err := st.Survey(ctx)
	if err != nil {
		return err
	}
	now, err := st.Now(ctx)
	if ago := now.Sub(found.Seen); err == nil && ago < stoppedFor {
		return fmt.Errorf("a process used this database %.0f s ago: stop all API replicas and workers, and try again %v later; nothing was changed", ago.Seconds(), stoppedFor)
	}
	return err
}

// stoppedFor is how long no process may have reported before the tables go back.
const stoppedFor = 15 * time.Second

func newMigrateCommand() *cobra.Command {
	var (
		downTo   int64
		loseData bool
	)
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the tables to the version that this program needs",
		Long: "Brings the tables to the version that this program needs, and registers the keys of\n" +
			"heartbeat.keyFiles there. Exits with 3 if the database belongs to another key, and with\n" +
			"4 if it belongs to another DownstreamNode (node.uid). With --down-to it goes back to an\n" +
			"older version, and loses what the older tables cannot hold.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&loseData, "lose-data", false, "with --down-to: confirm that data may be lost")
	cmd.Flags().Int64Var(&downTo, "down-to", 0, "older version to go back to; 0 removes all tables")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		down := cmd.Flags().Changed("down-to")
		if down && !loseData {
			return errors.New("--down-to loses what the older tables cannot hold; stop the node and add --lose-data")
		}
		cfg, err := loadConfig(cmd, app.Default())
		if err != nil {
			return err
		}
		return onNewStore(cmd, cfg, func(ctx context.Context, st *store.Store) (err error) {
			if down {
				if err := mayGoDown(ctx, st, downTo); err != nil {
					return err
				}
				if err := st.MigrateDown(ctx, downTo); err != nil {
					return err
				}
				return printVersion(ctx, cmd, st)
			}
			return migrate(ctx, cmd, cfg, st)
		})
	}
	return cmd
}

// migrate brings the tables to the newest version, unless the database belongs to another
// node or key.
func migrate(ctx context.Context, cmd *cobra.Command, cfg app.Config, st *store.Store) error {
	owner := store.Owner{Name: cfg.Node.Name, UID: cfg.Node.UID}
	claim := func() error {
		if owner.UID == "" {
			return nil
		}
		err := st.Claim(ctx, owner)
		if errors.Is(err, store.ErrOtherOwner) {
			err = fmt.Errorf("%w; give this node another database, or move the database with `db owner --remove`", err)
			return program.ExitError{Status: program.ExitOtherOwner, Err: err}
		}
		return err
	}
	have, want, err := st.SchemaVersion(ctx)
	if err == nil && have > want {
		err = fmt.Errorf("the tables are at version %d, newer than this program needs (%d): use the version of the program that wrote them", have, want)
	}
	if err == nil && have > 0 {
		err = claim() // before the tables change
	}
	if err == nil {
		err = st.Migrate(ctx)
	}
	if err == nil {
		err = claim()
	}
	if err == nil {
		err = printVersion(ctx, cmd, st)
	}
	if err != nil {
		return err
	}
	return checkKeys(ctx, cfg.Heartbeat.KeyFiles, st)
}

func printVersion(ctx context.Context, cmd *cobra.Command, st *store.Store) error {
	have, _, err := st.SchemaVersion(ctx)
	if err == nil {
		fmt.Fprintf(cmd.OutOrStdout(), "the tables are at version %d\n", have)
	}
	return err
}

func newOwnerCommand() *cobra.Command {
	remove := false
	cmd := &cobra.Command{
		Use:   "owner",
		Short: "Show which DownstreamNode the database belongs to",
		Long: "Shows the DownstreamNode whose migration claimed the database. With --remove, the\n" +
			"next DownstreamNode that migrates the database owns it: delete the old one first.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withTables(cmd, func(ctx context.Context, _ app.Config, st *store.Store) error {
				owner, err := st.Owner(ctx)
				if err == nil && remove {
					err = st.Disown(ctx)
				}
				switch {
				case err != nil:
					return err
				case owner == store.Owner{}:
					fmt.Fprintln(cmd.OutOrStdout(), "the database has no owner")
				case remove:
					fmt.Fprintf(cmd.OutOrStdout(), "the database no longer belongs to %s\n", owner)
					return audit(ctx, st, "removed the owner %s of the database", owner)
				default:
					fmt.Fprintf(cmd.OutOrStdout(), "the database belongs to %s\n", owner)
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "remove the owner")
	return cmd
}

// checkKeys fails if the database belongs to a key that none of the files contains. It
// does nothing if there are no files.
func checkKeys(ctx context.Context, files []string, st *store.Store) error {
	if len(files) == 0 {
		return nil
	}
	heartbeats, err := keyring.Load(files)
	if err != nil {
		return err
	}
	now, err := st.Now(ctx)
	if err != nil {
		return err
	}
	_, err = app.RegisterKeys(ctx, st, heartbeats, now)
	if errors.Is(err, store.ErrKeyMissing) {
		return program.ExitError{Status: program.ExitOtherKey, Err: err}
	}
	return err
}
