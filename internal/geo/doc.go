// Package geo says where an IP address is, as far as a GeoLite2 or GeoIP2 City
// database knows.
//
// Locations are an ornament of the status page: nothing of the node depends on
// them, and so no trouble with the database is an error. Without a database,
// or with a broken one, locations are unknown, and the log says why.
//
// The database is read into memory, about 60 MiB for GeoLite2 City, and not
// mapped: whoever updates a mapped file by writing over it kills the process
// that has it mapped. It also means that a reader that was replaced needs no
// closing; the lookups that still use it keep it alive.
//
// The invariant: a lookup is answered from one complete database that opened
// and answered a trial lookup. A file that does not never replaces it.
package geo
