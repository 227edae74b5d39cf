// Command fill writes a chosen number of records to an empty MySQL database, so
// that a node can be tried with them:
//
//	go run ./test/scale/fill -dsn 'user:password@tcp(host:3306)/database' -key key.json -contracts 1000000
//
// The key is the file of the node's private heartbeat. scale.Token returns the
// tokens of the farmers.
package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/schollz/progressbar/v3"

	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/test/scale"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "\nfill:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	dsn := flag.String("dsn", "", "the `database`, as for the node")
	key := flag.String("key", "", "the `file` of the private heartbeat")
	interval := flag.Duration("interval", 5*time.Minute, "interval of the contracts")
	size := scale.Large
	flag.IntVar(&size.Contracts, "contracts", size.Contracts, "number of contracts")
	flag.IntVar(&size.Farmers, "farmers", 0, "number of farmers; 0 means a tenth of the contracts")
	flag.IntVar(&size.Largest, "largest", 0, "contracts of the first farmer; 0 means a tenth of all, at most 10000")
	flag.Parse()
	if size.Farmers == 0 {
		size.Farmers = max(1, size.Contracts/10)
	}
	if size.Largest == 0 {
		size.Largest = min(10_000, size.Contracts/10)
	}
	terms, err := prepare(ctx, *dsn, *key, *interval)
	if err != nil {
		return err
	}
	db, err := sql.Open("mysql", *dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	bar := progressbar.Default(-1, "rows")
	defer bar.Close()
	return scale.Fill(ctx, db, size, terms, func(done, total int) {
		bar.ChangeMax(total)
		_ = bar.Set(done) // a bar that cannot be drawn is not a failure
	})
}

// prepare makes the tables and registers the key.
func prepare(ctx context.Context, dsn, key string, interval time.Duration) (scale.Terms, error) {
	st, err := store.Open(store.Config{Driver: store.MySQL, DSN: config.Secret(dsn)}, slog.Default())
	if err != nil {
		return scale.Terms{}, err
	}
	defer st.Close()
	if err := st.Migrate(ctx); err != nil {
		return scale.Terms{}, err
	}
	heartbeats, err := keyring.Load([]string{key})
	if err != nil {
		return scale.Terms{}, err
	}
	now := time.Now()
	keys, err := keyring.New(ctx, st, nil, heartbeats, nil, now)
	if err != nil {
		return scale.Terms{}, err
	}
	return scale.NewTerms(ctx, heartbeats[0], keys.Current().ID, interval, now)
}
