package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestFilesAreFresh checks that the committed files are what generate returns.
func TestFilesAreFresh(t *testing.T) {
	t.Parallel()
	pages, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range pages {
		if got, err := os.ReadFile(filepath.Join(root, path)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is stale (%v): run make generate", path, err)
		}
		if filepath.Ext(path) == ".md" && bytes.Contains(want, []byte("\n\n\n")) {
			t.Errorf("%s has two empty lines in a row", path)
		}
	}
}
