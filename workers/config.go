package workers

import (
	"time"

	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/ops"
)

// Config is the section worker of the configuration.
type Config struct {
	Private ops.Config `yaml:",inline"`

	// The number of jobs that are verified at once; 0 for the number of processors
	// (GOMAXPROCS).
	Concurrency int `yaml:"concurrency" range:"0..4096"`
	// The most verdicts in one transaction.
	CommitBatch int `yaml:"commitBatch" default:"1000" range:"1..10000"`
	// How long a verdict waits for others to fill its transaction.
	CommitDelay time.Duration `yaml:"commitDelay" default:"3ms" range:"0s..1s"`
	// How long a job may take before the worker gives it up.
	JobHardLimit time.Duration `yaml:"jobHardLimit" default:"10s" range:"100ms..1h"`
	// How long another worker must have had a job before this worker takes it
	// over; more than twice `worker.jobHardLimit`, so that no worker loses a job
	// that it still verifies.
	ClaimIdle time.Duration `yaml:"claimIdle" default:"30s" range:"0s..24h"`
	// How often a job is delivered before it goes to the dead-letter stream.
	MaxDeliveries int `yaml:"maxDeliveries" default:"5" range:"1..1000"`
	// How long, after SIGTERM, jobs in flight may take to finish. The worker then
	// returns the rest to the queue.
	DrainTimeout time.Duration `yaml:"drainTimeout" default:"20s" range:"0s..1h"`
	// What this worker does.
	Duties Duties `yaml:"duties"`
}

// Duties are the kinds of work of a worker.
type Duties struct {
	// Whether it verifies proofs.
	Verify bool `yaml:"verify" default:"true"`
	// Whether it encodes files for the inventory.
	Stock bool `yaml:"stock" default:"true"`
	// Whether it sweeps.
	Sweep bool `yaml:"sweep" default:"true"`
}

// Validate implements [config.Validator].
func (c Config) Validate(p *config.Problems) {
	if c.ClaimIdle <= 2*c.JobHardLimit {
		p.Add("claimIdle", "must be more than twice %s (%v), is %v", p.Key("jobHardLimit"), c.JobHardLimit, c.ClaimIdle)
	}
}

// InventoryConfig is the section inventory of the configuration.
type InventoryConfig struct {
	// The size of the smallest chunks.
	MinChunkSize config.ByteSize `yaml:"minChunkSize" default:"1KiB" range:"32..1024TiB"`
	// The size of the largest chunks.
	MaxChunkSize config.ByteSize `yaml:"maxChunkSize" default:"32MiB" range:"32..1024TiB"`
	// The total size of all chunks of a full inventory.
	TotalSize config.ByteSize `yaml:"totalSize" default:"1GiB" range:"0..1024TiB"`
	// Chunk sizes are the powers of this number from the smallest to the largest
	// size; at least 2.
	Base int64 `yaml:"base" default:"2" range:"2..1024"`
	// The number of files that a worker encodes at once.
	Encoders int `yaml:"encoders" default:"1" range:"1..1024"`
}

// Validate implements [config.Validator].
func (c InventoryConfig) Validate(p *config.Problems) {
	switch {
	case c.MaxChunkSize < c.MinChunkSize:
		p.Add("maxChunkSize", "must be at least %s (%v), is %v", p.Key("minChunkSize"), c.MinChunkSize, c.MaxChunkSize)
	case p.TagsValid():
		_, err := c.Inventory().Sizes()
		p.Check("", err)
	}
}

// Inventory returns the chunks to keep for each heartbeat key.
func (c InventoryConfig) Inventory() node.Inventory {
	return node.Inventory{MinSize: int64(c.MinChunkSize), MaxSize: int64(c.MaxChunkSize), TotalSize: int64(c.TotalSize), Base: c.Base}
}

// SweepConfig is the section sweep of the configuration.
type SweepConfig struct {
	// The time between two sweeps.
	Interval time.Duration `yaml:"interval" default:"5s" range:"100ms..24h"`
	// How long after its end a contract is left unchanged, so that a proof that
	// arrived in time is still committed.
	Grace time.Duration `yaml:"grace" default:"1m" range:"0s..24h"`
	// The most rows that a sweep changes in one transaction.
	Batch int `yaml:"batch" default:"1000" range:"1..100000"`
}
