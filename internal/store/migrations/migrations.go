// Package migrations holds the versions of the tables, as files for goose. It has no code of
// the store, so that a program without a database can know the newest version.
package migrations

import (
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// FS has a folder for each dialect.
//
//go:embed mysql sqlite
var FS embed.FS

// Latest returns the newest version of the tables that this program knows.
func Latest() (latest int64) {
	files, err := fs.Glob(FS, "mysql/*.sql")
	if err != nil {
		panic(err) // impossible: the pattern is valid
	}
	for _, file := range files {
		number, _, _ := strings.Cut(strings.TrimPrefix(file, "mysql/"), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			panic(fmt.Sprintf("migrations: %s does not begin with a version", file)) // impossible: goose checks the names too
		}
		latest = max(latest, version)
	}
	return latest
}
