package workers

import (
	"time"

	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/ops"
)

// Config is the section `worker` of the configuration.
type Config struct {
	Private ops.Config `yaml:",inline"`

	// The maximum number of jobs that are verified at the same time. 0 means the
	// number of processors (GOMAXPROCS).
	Concurrency int `yaml:"concurrency" range:"0..4096"`
	// The maximum number of verdicts in one transaction.
	CommitBatch int `yaml:"commitBatch" default:"1000" range:"1..10000"`
	// The time for which a verdict waits for other verdicts to fill its
	// transaction.
	CommitDelay time.Duration `yaml:"commitDelay" default:"3ms" range:"0s..1s"`
	// The time after which the worker stops verifying a job.
	JobHardLimit time.Duration `yaml:"jobHardLimit" default:"5s" range:"100ms..1h"`
	// The time after which this worker takes over a job that another worker, which is
	// alive, has read but not finished. It must be more than twice
	// `worker.jobHardLimit`, so that no worker loses a job that it still verifies. It
	// must be less than `api.answerTimeout`, so that a request still waits for the
	// job. Workers notice within three seconds that another worker has died, and take
	// over its jobs at once.
	ClaimIdle time.Duration `yaml:"claimIdle" default:"12s" range:"0s..24h"`
	// The number of deliveries after which a job goes to the dead-letter stream.
	MaxDeliveries int `yaml:"maxDeliveries" default:"5" range:"1..1000"`
	// The time after SIGTERM in which the worker finishes its jobs in flight. After
	// that it returns unfinished jobs to the queue.
	DrainTimeout time.Duration `yaml:"drainTimeout" default:"20s" range:"0s..1h"`
	// The kinds of work that this worker does.
	Duties Duties `yaml:"duties"`
}

// Duties are the kinds of work of a worker.
type Duties struct {
	// Whether the worker verifies proofs.
	Verify bool `yaml:"verify" default:"true"`
	// Whether the worker encodes files for the inventory.
	Stock bool `yaml:"stock" default:"true"`
	// Whether the worker sweeps expired contracts.
	Sweep bool `yaml:"sweep" default:"true"`
}

// Validate implements [config.Validator].
func (c Config) Validate(p *config.Problems) {
	if c.ClaimIdle <= 2*c.JobHardLimit {
		p.Add("claimIdle", "must be more than twice %s (%v), is %v", p.Key("jobHardLimit"), c.JobHardLimit, c.ClaimIdle)
	}
}

// InventoryConfig is the section `inventory` of the configuration.
type InventoryConfig struct {
	// The size of the smallest chunks.
	MinChunkSize config.ByteSize `yaml:"minChunkSize" default:"1KiB" range:"32..1024TiB"`
	// The size of the largest chunks.
	MaxChunkSize config.ByteSize `yaml:"maxChunkSize" default:"32MiB" range:"32..1024TiB"`
	// The total size of all chunks of a full inventory.
	TotalSize config.ByteSize `yaml:"totalSize" default:"1GiB" range:"0..1024TiB"`
	// The ratio of each chunk size to the next smaller size. Chunk sizes are the
	// powers of this number from the smallest to the largest size. At least 2.
	Base int64 `yaml:"base" default:"2" range:"2..1024"`
	// How many farmers should hold each file.
	Redundancy int64 `yaml:"redundancy" default:"1" range:"1..8"`
	// The maximum number of files that a worker encodes at the same time.
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

// Inventory returns the inventory that a stocker maintains for each heartbeat key.
func (c InventoryConfig) Inventory() node.Inventory {
	return node.Inventory{
		MinSize: int64(c.MinChunkSize), MaxSize: int64(c.MaxChunkSize), TotalSize: int64(c.TotalSize),
		Base: c.Base, Redundancy: c.Redundancy,
	}
}

// SweepConfig is the section `sweep` of the configuration.
type SweepConfig struct {
	// The time between two sweeps.
	Interval time.Duration `yaml:"interval" default:"5s" range:"100ms..24h"`
	// The time after its expiry in which the sweeper does not change a contract, so
	// that the verdict on a proof that arrived in time can still be committed.
	Grace time.Duration `yaml:"grace" default:"1m" range:"0s..24h"`
	// The maximum number of rows that a sweep changes in one transaction.
	Batch int `yaml:"batch" default:"1000" range:"1..100000"`
}
