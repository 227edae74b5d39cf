// Command geolite2 checks that a file is a location database that a node can use:
// it must be complete, well formed and of the type GeoLite2-City.
package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// old is the age from which a database causes a warning. MaxMind's terms require an
// update within 30 days of a new release.
const old = 30 * 24 * time.Hour

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: geolite2 FILE")
		os.Exit(2)
	}
	if err := check(os.Args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "geolite2: %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

func check(path string) (err error) {
	db, err := maxminddb.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if got := db.Metadata.DatabaseType; got != "GeoLite2-City" {
		return fmt.Errorf("the database has the type %q, want GeoLite2-City", got)
	}
	if err := db.Verify(); err != nil {
		return err
	}
	built := db.Metadata.BuildTime()
	fmt.Printf("geolite2: %s, built %s\n", db.Metadata.DatabaseType, built.UTC().Format(time.DateOnly))
	if age := time.Since(built); age > old {
		fmt.Fprintf(os.Stderr, "geolite2: warning: the database is %d days old\n", int(age.Hours()/24))
	}
	return nil
}
