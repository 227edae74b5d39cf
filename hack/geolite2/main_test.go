package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	database := func(databaseType string) []byte {
		tree, err := mmdbwriter.New(mmdbwriter.Options{
			DatabaseType: databaseType,
			Description:  map[string]string{"en": "a test"},
			Languages:    []string{"en"},
		})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if _, err := tree.WriteTo(&out); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	tests := []struct {
		name    string
		content []byte
		problem string // empty for a good database
	}{
		{"cities", database("GeoLite2-City"), ""},
		{"networks", database("GeoLite2-ASN"), `of type "GeoLite2-ASN"`},
		{"cut off", database("GeoLite2-City")[:100], "invalid MaxMind DB"},
		{"empty", nil, "file is empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "city.mmdb")
			if err := os.WriteFile(path, tt.content, 0o600); err != nil {
				t.Fatal(err)
			}
			err := check(path)
			if tt.problem == "" && err != nil || tt.problem != "" && (err == nil || !strings.Contains(err.Error(), tt.problem)) {
				t.Errorf("%v, want %q", err, tt.problem)
			}
		})
	}
}
