package keyring

import (
	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/config"
)

// Config is the section heartbeat of the configuration.
type Config struct {
	// The scheme of new keys: `Swizzle` or `Merkle`.
	Type heartbeat.Type `yaml:"type" default:"Swizzle" oneof:"Swizzle Merkle"`
	// The fraction of a file that one challenge covers, from 0 to 1. With 0, a
	// Merkle challenge covers 8192 bytes and a Swizzle challenge 16 chunks.
	CheckFraction float64 `yaml:"checkFraction" default:"0.01" range:"0..1"`
	// The number of challenges in a Merkle tag. It is also the maximum number of
	// intervals of a Merkle contract. Swizzle has no such limit.
	Challenges int `yaml:"challenges" default:"256" range:"1..65536"`
	// The files with the private keys. New tokens get the first key. Tokens and
	// contracts of the other keys stay valid. In the environment variable, commas
	// separate the files.
	KeyFiles []string `yaml:"keyFiles"`
}

// Validate implements [config.Validator].
func (c Config) Validate(p *config.Problems) {
	seen := make(map[string]bool)
	for _, path := range c.KeyFiles {
		if path == "" || seen[path] {
			p.Add("keyFiles", "holds an empty or a repeated name: %q", path)
		}
		seen[path] = true
	}
}
