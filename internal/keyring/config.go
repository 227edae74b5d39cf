package keyring

import (
	"regexp"
	"strings"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/config"
)

// Config is the section heartbeat of the configuration.
type Config struct {
	// The scheme of new keys: `Swizzle` or `Merkle`.
	Type heartbeat.Type `yaml:"type" default:"Swizzle" oneof:"Swizzle Merkle"`
	// The fraction of a file that one challenge covers, from 0 to 1. With 0, a
	// Merkle challenge covers 8192 bytes and a Swizzle challenge 16 chunks. New keys
	// store this number, and later changes have no effect on a key. Instead of it,
	// `heartbeat.detection` can be set.
	CheckFraction float64 `yaml:"checkFraction" default:"0.01" range:"0..1"`
	// The number of challenges in a Merkle tag. It is also the maximum number of
	// intervals of a Merkle contract. Swizzle has no such limit.
	Challenges int `yaml:"challenges" default:"256" range:"1..65536"`
	// The files with the private keys. New tokens get the first key as soon as all
	// processes have it. Tokens and contracts of the other keys stay valid. The first key
	// replaces the other keys with the same public part; see `downstream-node keys`. In the
	// environment variable, commas separate the files.
	KeyFiles []string `yaml:"keyFiles"`
	// The fingerprints, or at least their first 12 digits, of keys that another person may
	// know. If a newer key replaces such a key, Merkle contracts that were made with it end
	// with their current challenge, and its chunks are deleted. In the environment variable,
	// commas separate them.
	Compromised []string `yaml:"compromised"`
	// The detection that the node wants for files of every size, such as
	// `{lost: 1%, within: 1h, probability: 99%}`. It replaces the check fraction of all
	// keys. The node chooses how many blocks a Swizzle challenge names, from the next
	// challenge on, and how many bytes the challenges of new Merkle files cover. By
	// default, none of the three keys is set.
	Detection DetectionConfig `yaml:"detection"`
}

// DetectionConfig is the section heartbeat.detection of the configuration.
type DetectionConfig struct {
	// The part of a file that a farmer has lost.
	Lost config.Fraction `yaml:"lost" range:"0..1"`
	// The time in which the farmer must fail a challenge. The node has one challenge in
	// each `contracts.interval`, and at least one.
	Within time.Duration `yaml:"within" range:"0s..87600h"`
	// The probability with which the farmer must fail, below 100%.
	Probability config.Fraction `yaml:"probability" range:"0..1"`
}

var fingerprint = regexp.MustCompile(`^[0-9a-f]{12,64}$`)

// Validate implements [config.Validator].
func (c Config) Validate(p *config.Problems) {
	seen := make(map[string]bool)
	for _, path := range c.KeyFiles {
		if path == "" || seen[path] {
			p.Add("keyFiles", "holds an empty or a repeated name: %q", path)
		}
		seen[path] = true
	}
	for _, prefix := range c.Compromised {
		if !fingerprint.MatchString(prefix) {
			p.Add("compromised", "%.80q is not the beginning of a fingerprint: 12 to 64 hex digits in lower case, which `downstream-node keys list` shows", prefix)
		}
	}
	if c.Detection.Set() && c.CheckFraction != config.Default[Config]().CheckFraction {
		p.Add("detection", "both this section and %s (%v) are set, and each of them says how much a challenge covers; remove one of them", p.Key("checkFraction"), c.CheckFraction)
	}
}

// Set reports whether the node has a detection target.
func (d DetectionConfig) Set() bool { return d != DetectionConfig{} }

// Validate implements [config.Validator].
func (d DetectionConfig) Validate(p *config.Problems) {
	if !d.Set() {
		return
	}
	var missing []string
	for _, key := range []struct {
		name string
		zero bool
	}{{"lost", d.Lost == 0}, {"within", d.Within == 0}, {"probability", d.Probability == 0}} {
		if key.zero {
			missing = append(missing, p.Key(key.name))
		}
	}
	if missing != nil {
		p.Add("", "%s must be more than 0, because a target needs lost, within and probability; set it, or remove the section", strings.Join(missing, " and "))
	}
	if d.Probability == 1 {
		p.Add("probability", "100%% is reached only if every challenge covers the whole file; set less, such as 99%%, or set heartbeat.checkFraction to 1 instead")
	}
}

// CheckReachable adds a problem if no challenge is due in the target's time, or if a Merkle
// contract has too few challenges for the target. interval is the time for each challenge.
func (c Config) CheckReachable(p *config.Problems, interval time.Duration) {
	if !c.Detection.Set() || interval <= 0 {
		return
	}
	if c.Detection.Within < interval {
		p.Add("heartbeat.detection.within", "%v is shorter than contracts.interval (%v), and a farmer gets one challenge in each interval; set at least %[2]v", c.Detection.Within, interval)
	}
	if c.Type != heartbeat.Merkle {
		return
	}
	if k := c.Detection.challenges(interval); k > int64(c.Challenges) {
		p.Add("heartbeat.detection.within", "%v has %d challenges of %v, but a Merkle contract ends after heartbeat.challenges (%d); set at most %v, or raise heartbeat.challenges",
			c.Detection.Within, k, interval, c.Challenges, time.Duration(c.Challenges)*interval)
	}
}

// challenges returns the number of challenges that the target allows.
func (d DetectionConfig) challenges(interval time.Duration) int64 {
	return max(int64(d.Within/interval), 1)
}

// target returns the detection target of a valid configuration.
func (d DetectionConfig) target(interval time.Duration) heartbeat.Target {
	return heartbeat.Target{Lost: float64(d.Lost), Probability: float64(d.Probability), Challenges: int(d.challenges(interval))}
}
