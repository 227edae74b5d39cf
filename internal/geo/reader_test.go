package geo

import (
	"bytes"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/driveshare/downstream-node/internal/node"
)

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

// database returns a small mmdb file of the type with the records.
func database(t testing.TB, databaseType string, records map[string]mmdbtype.Map) []byte {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: databaseType, IncludeReservedNetworks: true})
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

// cityDatabase returns a database with one network, 81.2.69.0/24, in the given
// city.
func cityDatabase(t testing.TB, city string) []byte {
	t.Helper()
	return database(t, "GeoLite2-City", map[string]mmdbtype.Map{"81.2.69.0/24": recordOf(city)})
}

var knownAddr = netip.MustParseAddr("81.2.69.142")

func write(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func openTest(t testing.TB, content []byte) *Reader {
	t.Helper()
	path := filepath.Join(t.TempDir(), "city.mmdb")
	write(t, path, content)
	r := Open(Config{path, time.Hour}, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { r.Close() })
	return r
}

func TestLookup(t *testing.T) {
	t.Parallel()
	london := &node.Location{Country: "United Kingdom", State: "England", City: "London", Zip: "SW1A", Lat: 51.5, Lon: -0.125}
	r := openTest(t, database(t, "GeoLite2-City", map[string]mmdbtype.Map{
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
	}))
	tests := []struct {
		name, addr string
		want       *node.Location
	}{
		{"all known", "81.2.69.142", london},
		{"IPv6", "2a02:6b8::1", london},
		{"IPv4 within IPv6", "::ffff:81.2.69.142", london},
		{"with a zone", "2a02:6b8::1%eth0", london},
		{"country alone", "2.0.0.1", &node.Location{Country: "France"}},
		{"coordinates alone", "2.0.1.1", &node.Location{Lon: 9}},
		{"half the coordinates", "2.0.2.1", nil},
		{"registered country alone", "2.0.3.1", nil},
		{"empty record", "2.0.4.1", nil},
		{"broken record", "2.0.5.1", nil},
		{"not in the database", "8.8.8.8", nil},
		{"private", "10.1.2.3", nil},
		{"private IPv4 within IPv6", "::ffff:10.1.2.3", nil},
		{"unique local", "fd00::1", nil},
		{"loopback", "127.0.0.1", nil},
		{"unspecified", "0.0.0.0", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := r.Lookup(netip.MustParseAddr(tt.addr)); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
	t.Run("no address", func(t *testing.T) {
		t.Parallel()
		if got := r.Lookup(netip.Addr{}); got != nil {
			t.Errorf("%+v, want nil", got)
		}
	})
}

func TestWithoutDatabase(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	for name, r := range map[string]*Reader{
		"nil":            nil,
		"no path":        Open(Config{}, log),
		"absent file":    Open(Config{filepath.Join(t.TempDir(), "absent"), time.Hour}, log),
		"directory":      Open(Config{t.TempDir(), time.Hour}, log),
		"not a database": openTest(t, []byte("not a database")),
		"empty file":     openTest(t, nil),
		"other type":     openTest(t, database(t, "GeoLite2-ASN", nil)),
		"truncated":      openTest(t, cityDatabase(t, "London")[:100]),
	} {
		if got := r.Lookup(knownAddr); got != nil {
			t.Errorf("%s: %+v, want nil", name, got)
		}
		if err := r.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	r := openTest(t, cityDatabase(t, "London"))
	if r.Lookup(knownAddr) == nil {
		t.Fatal("no location before Close")
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := r.Lookup(knownAddr); got != nil {
		t.Errorf("%+v after Close", got)
	}
}

func BenchmarkLookup(b *testing.B) {
	r := openTest(b, cityDatabase(b, "London"))
	b.ReportAllocs()
	for b.Loop() {
		r.Lookup(knownAddr)
	}
}

func TestGeoLite2(t *testing.T) {
	t.Parallel()
	entries := map[string]mmdbtype.Map{"81.2.69.0/24": recordOf("London")}
	if !openTest(t, database(t, "GeoLite2-City", entries)).GeoLite2() {
		t.Error("a GeoLite2 database is not recognized")
	}
	if openTest(t, database(t, "GeoIP2-City", entries)).GeoLite2() {
		t.Error("a GeoIP2 database is reported as GeoLite2")
	}
	absent := Open(Config{}, slog.New(slog.DiscardHandler))
	if absent.GeoLite2() || (*Reader)(nil).GeoLite2() {
		t.Error("no database is reported as GeoLite2")
	}
}
