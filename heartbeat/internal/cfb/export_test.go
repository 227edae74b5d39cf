package cfb

import "github.com/driveshare/downstream-node/heartbeat/internal/aes256"

// NewChainsWith is NewChains with a kernel of the test's choice.
func NewChainsWith(kernel aes256.Kernel, key *[32]byte) *Chains {
	return newChains(aes256.NewWith(kernel, key))
}
