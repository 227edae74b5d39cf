package node

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Location is the probable place of a farmer's IP address.
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
	Contracts  int64 // number of contracts that have not expired
	Size       int64 // bytes of these contracts
	IP         string
	LastDue    time.Time // the latest due time of its contracts; zero if it never had a contract
}

// IPHash is equal for two farmers at the same IP address, and it hides the IP
// address. It needs a secret key, so only the holder of the key can find the IP address
// by trying all of them.
func IPHash(key []byte, ip string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(ip))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
