package geo

import (
	"bytes"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/driveshare/downstream-node/internal/node"
)

// database reads a database from testdata. TestFixtures in hack/geolite2 makes the
// files there.
func database(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name+".mmdb"))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// cityDatabase returns a database with one network, 81.2.69.0/24, in the given
// city. The name of the city must have six letters.
func cityDatabase(t testing.TB, city string) []byte {
	t.Helper()
	if len(city) != len("London") {
		t.Fatalf("the name %q does not have six letters", city)
	}
	return bytes.ReplaceAll(database(t, "london"), []byte("London"), []byte(city))
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
	r := openTest(t, database(t, "locations"))
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

func TestMetric(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	for name, tt := range map[string]struct {
		reader *Reader
		want   int // series
	}{
		"a database": {openTest(t, database(t, "london")), 1},
		"none":       {Open(Config{}, log), 0},
		"nil":        {nil, 0},
	} {
		registry := prometheus.NewRegistry()
		registry.MustRegister(tt.reader)
		families, err := registry.Gather()
		if err != nil || len(families) != tt.want {
			t.Errorf("%s: %v, %v; want %d series", name, families, err, tt.want)
			continue
		}
		if tt.want == 0 {
			continue
		}
		const built = 1 // hack/geolite2 builds the fixtures at this time
		if got := families[0].Metric[0].Gauge.GetValue(); got != built {
			t.Errorf("%s: %v, want %v", name, got, built)
		}
	}
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
		"other type":     openTest(t, database(t, "asn")),
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
	if !openTest(t, cityDatabase(t, "London")).GeoLite2() {
		t.Error("a GeoLite2 database is not recognized")
	}
	if openTest(t, database(t, "geoip2")).GeoLite2() {
		t.Error("a GeoIP2 database is reported as GeoLite2")
	}
	absent := Open(Config{}, slog.New(slog.DiscardHandler))
	if absent.GeoLite2() || (*Reader)(nil).GeoLite2() {
		t.Error("no database is reported as GeoLite2")
	}
}
