package node

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Location is where a farmer's IP address is said to be.
type Location struct {
	Country, State, City, Zip string
	Lat, Lon                  float64
}

// Farmer is what the status API tells of one token.
type Farmer struct {
	ID         string
	Address    string
	Location   *Location // nil where unknown
	Uptime     Uptime
	Heartbeats int64
	Contracts  int64 // that have not expired
	Size       int64 // bytes, of those
	IP         string
	LastDue    time.Time // the latest due of any contract; zero without one
}

// IPHash shows that two farmers share an address without telling which: it is
// keyed, so that trying all addresses does not turn it back.
func IPHash(key []byte, ip string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(ip))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
