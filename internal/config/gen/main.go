// Command gen writes docs/configuration.md, the reference of the
// configuration, from the fields of [config.Config] and their comments. It
// runs by go generate in internal/config, in that directory.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	out := flag.String("o", "", "the file to write")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(out string) error {
	page, err := render(".")
	if err != nil {
		return err
	}
	return os.WriteFile(out, page, 0o644)
}
