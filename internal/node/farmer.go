package node

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Location is where a farmer's IP address probably is.
type Location struct {
	Country, State, City, Zip string
	Lat, Lon                  float64
}

// Farmer is one token as the status API shows it.
type Farmer struct {
	ID         string
	Address    string
	Location   *Location // nil if unknown
	Uptime     Uptime
	Heartbeats int64
	Contracts  int64 // that have not expired
	Size       int64 // bytes of those
	IP         string
	LastDue    time.Time // the latest due of its contracts; zero if it never had one
}

// IPHash is equal for two farmers at the same IP address and hides the address: it
// is keyed, so trying all addresses does not reveal it.
func IPHash(key []byte, ip string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(ip))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
