// Package geo looks up the location of an IP address in a GeoLite2 or GeoIP2
// City database.
//
// Only the status API and the web page show locations, so a problem with the
// database is not an error of the node. Without a usable database, every location is
// unknown, and the node logs the reason.
//
// The package reads the database into memory (about 60 MiB for GeoLite2 City).
// It does not use mmap, because a process that maps a file is killed if another
// program truncates the file. A replaced database need not be closed: the garbage
// collector frees it after its last lookup.
//
// Invariant: every lookup uses one complete database that opened and passed a
// trial lookup. A file that fails either check never replaces the database.
package geo

import (
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oschwald/geoip2-golang/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/driveshare/downstream-node/internal/node"
)

// Config is the section geo of the configuration.
type Config struct {
	// A GeoLite2 or GeoIP2 City database (mmdb). Without one, locations are
	// unknown.
	File string `yaml:"file"`
	// How often the node checks whether the file has changed.
	ReloadInterval time.Duration `yaml:"reloadInterval" default:"1m" range:"1s..24h"`
}

// Reader looks up locations in a database file and reloads the file if it
// changes. It is safe for concurrent use. A nil Reader has no database.
type Reader struct {
	file file // after watch has started, only watch uses it
	log  *slog.Logger

	current atomic.Pointer[geoip2.Reader] // nil if there is no database

	closing sync.Once
	stop    chan struct{}
	stopped sync.WaitGroup
}

// Open returns a Reader of the configured database. The file need not exist yet.
// Problems with the file are logged. Close stops the checks of the file.
func Open(cfg Config, log *slog.Logger) *Reader {
	r := newReader(cfg.File, log)
	if cfg.File == "" {
		return r
	}
	r.reload()
	r.stopped.Go(func() { r.watch(cfg.ReloadInterval) })
	return r
}

func newReader(path string, log *slog.Logger) *Reader {
	return &Reader{
		file: file{path: path},
		log:  log.With("geo", path),
		stop: make(chan struct{}),
	}
}

// Close stops the checks and releases the database. After Close every location
// is unknown. It may be called more than once.
func (r *Reader) Close() error {
	if r == nil {
		return nil
	}
	r.closing.Do(func() { close(r.stop) })
	r.stopped.Wait()
	r.current.Store(nil)
	return nil
}

// Lookup returns the location of addr with English names. It returns nil if the
// location is unknown or if addr is private. The state is the largest subdivision of
// the country. Unknown names are empty, and unknown coordinates are 0. A database of
// countries, for example, has no coordinates.
func (r *Reader) Lookup(addr netip.Addr) *node.Location {
	if r == nil {
		return nil
	}
	db := r.current.Load()
	addr = addr.Unmap()
	// A private address means a different place in every network, so an entry for it
	// must not be used.
	if db == nil || !addr.IsGlobalUnicast() || addr.IsPrivate() {
		return nil
	}
	city, err := db.City(addr)
	if err != nil {
		r.log.Warn("location lookup failed", "error", err)
		return nil
	}
	return location(city)
}

// GeoLite2 reports whether the database is one of MaxMind's free databases. Their
// licence requires a notice on every page that shows the data.
func (r *Reader) GeoLite2() bool {
	if r == nil {
		return false
	}
	db := r.current.Load()
	return db != nil && strings.HasPrefix(db.Metadata().DatabaseType, "GeoLite2")
}

var builtDesc = prometheus.NewDesc("downstream_geo_database_build_timestamp_seconds",
	"Unix time at which the location database in use was built. Missing if there is none.", nil, nil)

var _ prometheus.Collector = (*Reader)(nil)

// Describe sends the description of the metric.
func (r *Reader) Describe(ch chan<- *prometheus.Desc) { ch <- builtDesc }

// Collect sends when the database was built.
func (r *Reader) Collect(ch chan<- prometheus.Metric) {
	if r == nil {
		return
	}
	if db := r.current.Load(); db != nil {
		ch <- prometheus.MustNewConstMetric(builtDesc, prometheus.GaugeValue, float64(db.Metadata().BuildTime().Unix()))
	}
}

// location returns nil if the record has neither a country nor coordinates.
func location(city *geoip2.City) *node.Location {
	l := node.Location{
		Country: city.Country.Names.English,
		City:    city.City.Names.English,
		Zip:     city.Postal.Code,
	}
	if len(city.Subdivisions) > 0 {
		l.State = city.Subdivisions[0].Names.English
	}
	if city.Location.HasCoordinates() {
		l.Lat, l.Lon = *city.Location.Latitude, *city.Location.Longitude
	}
	if l.Country == "" && !l.HasCoordinates() {
		return nil
	}
	return &l
}
