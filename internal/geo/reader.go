package geo

import (
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oschwald/geoip2-golang/v2"

	"github.com/driveshare/downstream-node/internal/node"
)

// Reader looks locations up in the database of a file, and follows the file
// when it changes. It is safe for concurrent use. A nil Reader is one without
// a database.
type Reader struct {
	file file // of the watching goroutine, once there is one
	log  *slog.Logger

	current atomic.Pointer[geoip2.Reader] // nil while there is no database

	closing sync.Once
	stop    chan struct{}
	stopped sync.WaitGroup
}

// Open returns a Reader of the database at path, and looks every interval
// whether the file has changed. The file may be absent and come later. With an
// empty path there is no database and nothing to watch. Whether the file can
// be read is told to log. Close stops the watching.
func Open(path string, interval time.Duration, log *slog.Logger) *Reader {
	r := newReader(path, log)
	if path == "" {
		return r
	}
	r.reload()
	r.stopped.Go(func() { r.watch(interval) })
	return r
}

func newReader(path string, log *slog.Logger) *Reader {
	return &Reader{
		file: file{path: path},
		log:  log.With("geo", path),
		stop: make(chan struct{}),
	}
}

// Close stops the watching and lets go of the database; from then on all
// locations are unknown. It may be called more than once.
func (r *Reader) Close() error {
	if r == nil {
		return nil
	}
	r.closing.Do(func() { close(r.stop) })
	r.stopped.Wait()
	r.current.Store(nil)
	return nil
}

var _ io.Closer = (*Reader)(nil)

// Lookup returns where addr is, with English names, or nil where that is
// unknown, as it is for private addresses. The state is the largest
// subdivision of the country. Names that are unknown are empty; coordinates
// that are unknown, as with a database of countries, are 0.
func (r *Reader) Lookup(addr netip.Addr) *node.Location {
	if r == nil {
		return nil
	}
	db := r.current.Load()
	addr = addr.Unmap()
	// A database is not to be trusted with addresses that mean something else
	// on every network.
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

// GeoLite2 says whether the database is one of MaxMind's free ones, whose
// licence asks that whoever shows its data say so.
func (r *Reader) GeoLite2() bool {
	if r == nil {
		return false
	}
	db := r.current.Load()
	return db != nil && strings.HasPrefix(db.Metadata().DatabaseType, "GeoLite2")
}

// location is nil where the record says neither the country nor the place.
func location(city *geoip2.City) *node.Location {
	known := city.Location.HasCoordinates()
	if city.Country.Names.English == "" && !known {
		return nil
	}
	l := &node.Location{
		Country: city.Country.Names.English,
		City:    city.City.Names.English,
		Zip:     city.Postal.Code,
	}
	if len(city.Subdivisions) > 0 {
		l.State = city.Subdivisions[0].Names.English
	}
	if known {
		l.Lat, l.Lon = *city.Location.Latitude, *city.Location.Longitude
	}
	return l
}
