package main

import (
	"bytes"
	"flag"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

var update = flag.Bool("update", false, "write the databases in internal/geo/testdata")

// database returns a small database with the given type and records.
func database(t *testing.T, databaseType string, records map[string]mmdbtype.Map) []byte {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		BuildEpoch:              1, // the same bytes each time
		DatabaseType:            databaseType,
		Description:             map[string]string{"en": "a test"},
		Languages:               []string{"en"},
		IncludeReservedNetworks: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	for network, record := range records {
		_, prefix, err := net.ParseCIDR(network)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(prefix, record); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if _, err := tree.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestCheck(t *testing.T) {
	t.Parallel()
	cities := database(t, "GeoLite2-City", nil)
	tests := []struct {
		name    string
		content []byte
		problem string // empty for a good database
	}{
		{"cities", cities, ""},
		{"networks", database(t, "GeoLite2-ASN", nil), `the type "GeoLite2-ASN"`},
		{"truncated", cities[:100], "invalid MaxMind DB"},
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

func english(name string) mmdbtype.Map {
	return mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String(name), "de": mmdbtype.String("auf Deutsch")}}
}

// recordOf returns a record in MaxMind's format with the given city.
func recordOf(city string) mmdbtype.Map {
	return mmdbtype.Map{
		"country":      english("United Kingdom"),
		"subdivisions": mmdbtype.Slice{english("England"), english("Greater London")},
		"city":         english(city),
		"postal":       mmdbtype.Map{"code": mmdbtype.String("SW1A")},
		"location":     mmdbtype.Map{"latitude": mmdbtype.Float64(51.5), "longitude": mmdbtype.Float64(-0.125)},
	}
}

// TestFixtures makes the databases for the tests of internal/geo. The databases are
// stored as files. So the product's module does not need a library that writes
// databases.
func TestFixtures(t *testing.T) {
	t.Parallel()
	london := map[string]mmdbtype.Map{"81.2.69.0/24": recordOf("London")}
	for name, want := range map[string][]byte{
		"london": database(t, "GeoLite2-City", london),
		"geoip2": database(t, "GeoIP2-City", london),
		"asn":    database(t, "GeoLite2-ASN", nil),
		"locations": database(t, "GeoLite2-City", map[string]mmdbtype.Map{
			"81.2.69.0/24":  recordOf("London"),
			"2a02:6b8::/32": recordOf("London"),
			"10.0.0.0/8":    recordOf("Nowhere"),
			"fd00::/8":      recordOf("Nowhere"),
			"127.0.0.0/8":   recordOf("Nowhere"),
			"2.0.0.0/24":    {"country": english("France")},
			"2.0.1.0/24":    {"location": mmdbtype.Map{"latitude": mmdbtype.Float64(0), "longitude": mmdbtype.Float64(9)}},
			"2.0.2.0/24":    {"location": mmdbtype.Map{"latitude": mmdbtype.Float64(3)}},
			"2.0.3.0/24":    {"registered_country": english("Spain"), "continent": english("Europe")},
			"2.0.4.0/24":    {},
			"2.0.5.0/24":    {"country": mmdbtype.String("not a map")},
		}),
	} {
		path := filepath.Join("../../internal/geo/testdata", name+".mmdb")
		if *update {
			if err := os.WriteFile(path, want, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is stale (%v): run `go -C hack test ./geolite2 -update`", path, err)
		}
	}
}
