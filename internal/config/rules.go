package config

import (
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
)

// Heartbeat is the proof-of-storage scheme.
type Heartbeat struct {
	// The scheme of new keys: `Swizzle` or `Merkle`.
	Type heartbeat.Type `yaml:"type"`
	// The part of a file that one challenge covers, from 0 to 1. With 0, a
	// Merkle challenge covers 8192 bytes and a Swizzle challenge 16 chunks.
	CheckFraction float64 `yaml:"checkFraction"`
	// How many challenges a Merkle tag holds, and so how many intervals a
	// contract can last. Swizzle has no such limit.
	Challenges int `yaml:"challenges"`
	// The files with the private keys. New tokens get the first; the tokens and
	// contracts of the others are still honoured. In the environment, separated
	// by commas.
	KeyFiles []string `yaml:"keyFiles"`
}

// Contracts are the limits of section 2 of PROTOCOL.md.
type Contracts struct {
	// How long a farmer has for each challenge. Whole seconds.
	Interval time.Duration `yaml:"interval"`
	// The most tokens of one IP address.
	TokensPerIP int `yaml:"tokensPerIP"`
	// The most contracts that one `/chunk` request gets.
	ContractsPerRequest int `yaml:"contractsPerRequest"`
	// The most bytes under contract for one SJCX address, over all its tokens.
	BytesPerAddress ByteSize `yaml:"bytesPerAddress"`
	// What `/chunk/{token}` means without a size, in bytes.
	DefaultRequestSize ByteSize `yaml:"defaultRequestSize"`
	// The most characters of a signed message.
	MessageLength int `yaml:"messageLength"`
	// How many different wrong proofs a challenge may get before no more are
	// taken.
	WrongAnswers int `yaml:"wrongAnswers"`
	// How long the record of an expired contract is kept.
	Retention time.Duration `yaml:"retention"`
}

// Access says who may have a token.
type Access struct {
	// Whether an address must be on the whitelist.
	Whitelist bool `yaml:"whitelist"`
	// Whether a farmer must prove with a signature that an address is its own.
	Signatures bool `yaml:"signatures"`
	// The least balance, in whole SJCX, with which an address of the whitelist
	// is let in.
	MinBalance int64 `yaml:"minBalance"`
}

// Inventory is the stock of encoded chunks.
type Inventory struct {
	// The size of the smallest chunks.
	MinChunkSize ByteSize `yaml:"minChunkSize"`
	// The size of the largest chunks.
	MaxChunkSize ByteSize `yaml:"maxChunkSize"`
	// The bytes that the chunks of the inventory add up to when it is full.
	TotalSize ByteSize `yaml:"totalSize"`
	// Chunk sizes are the powers of this number, at least 2, that lie between
	// the smallest and the largest.
	Base int64 `yaml:"base"`
	// How many files a worker encodes at once.
	Encoders int `yaml:"encoders"`
}

// Sweep is the periodic clean-up: expired contracts leave the counts of their
// farmers, old records are deleted.
type Sweep struct {
	// The time between two sweeps.
	Interval time.Duration `yaml:"interval"`
	// How long after its end a contract is left alone, so that an answer that
	// came in time is still committed.
	Grace time.Duration `yaml:"grace"`
	// The most rows that a sweep changes in one transaction.
	Batch int `yaml:"batch"`
}

// Record is the history behind the status page's plots: what there was and
// what happened, for the node as a whole and for each farmer. What is too old
// for one step is kept at the next.
type Record struct {
	// How long the totals of each minute are kept; at least an hour.
	Minutes time.Duration `yaml:"minutes"`
	// How long the totals of each hour are kept.
	Hours time.Duration `yaml:"hours"`
	// How long each farmer's days are kept. A row of some 60 bytes for each
	// farmer and day.
	FarmerDays time.Duration `yaml:"farmerDays"`
}
