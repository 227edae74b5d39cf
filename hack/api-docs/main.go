package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/driveshare/downstream-node/apiserver/openapi"
)

func main() {
	if err := write("../.."); err != nil {
		fmt.Fprintln(os.Stderr, "api-docs:", err)
		os.Exit(1)
	}
}

func write(root string) error {
	page, err := render(openapi.YAML())
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "docs/api.md"), page, 0o666)
}
