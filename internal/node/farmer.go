package node

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Location is the probable place of a farmer's IP address. A text is empty if it is
// unknown. Lat and Lon are both 0 if they are unknown.
type Location struct {
	Country, State, City, Zip string
	Lat, Lon                  float64
}

// HasCoordinates reports whether Lat and Lon are known. There is only sea at 0, 0.
func (l Location) HasCoordinates() bool { return l.Lat != 0 || l.Lon != 0 }

// Farmer is one token as the status API shows it.
type Farmer struct {
	ID         string
	Address    string
	Location   *Location // nil if unknown
	Uptime     Uptime
	Heartbeats int64
	Contracts  int64 // number of contracts that have not expired
	Size       int64 // bytes of these contracts
	IP         string
	LastDue    time.Time // the latest due time of the farmer's contracts; zero if the farmer never had a contract
}

// IPHash returns a hash that hides the IP address. Two farmers at the same IP
// address have the same hash. The hash depends on a secret key. So only the owner
// of the key can find the IP address by trying all IP addresses.
func IPHash(key []byte, ip string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(ip))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
