// Command geolite2 checks that a file is a database that the node can use for
// locations: that all of it is well formed, and that it is one of cities.
package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// old is the age at which a database is worth a warning: MaxMind's terms ask
// for the data to be brought up to date within 30 days of a new release.
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
		return fmt.Errorf("a database of type %q, want GeoLite2-City", got)
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
