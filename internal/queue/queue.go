package queue

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/redisdb"
	"github.com/driveshare/downstream-node/internal/redisdb/codec"
)

var (
	// ErrFull is returned by Enqueue if the queue has no room.
	ErrFull = errors.New("queue is full")

	// ErrTooLarge is returned by Enqueue for a job of more than MaxJobBytes.
	// The caller must split the job.
	ErrTooLarge = errors.New("job is too large")
)

// Config is the part of the section `redis` of the configuration that limits the
// queue.
type Config struct {
	// The maximum number of jobs that wait or are in flight. If the queue is full,
	// farmers get a 503 with `Retry-After`.
	MaxQueue int `yaml:"maxQueue" default:"10000" range:"1..100000000"`
}

// Queue is a node's queue. It is safe for concurrent use.
type Queue struct {
	db        *redisdb.DB
	maxQueue  int
	log       *slog.Logger
	outgoing  outgoing
	unsettled atomic.Int64
}

// New returns the queue in the node's Redis. The caller must close the Redis. log
// receives errors that occur when replies are read.
func New(db *redisdb.DB, cfg Config, log *slog.Logger) *Queue {
	return &Queue{db: db, maxQueue: cfg.MaxQueue, log: log}
}

func (q *Queue) jobsKey() string         { return q.db.Key("jobs") }
func (q *Queue) deadKey() string         { return q.db.Key("dead") }
func (q *Queue) countersKey() string     { return q.db.Key("counters") }
func (q *Queue) repliesKey(to ID) string { return q.db.Key("replies:" + to.String()) }

// aliveKey returns the liveness key of a worker.
func (q *Queue) aliveKey(consumer string) string { return q.db.Key("alive:" + consumer) }

// ID is 16 random bytes. It names a job, or the stream from which an API replica
// reads its replies. The zero ID names nothing.
type ID [16]byte

// NewID creates a random ID.
func NewID() ID {
	var id ID
	rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	return id
}

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText returns the same text as String, for logs in JSON.
func (id ID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// Job is the proofs of one request, or of a part of one request. All proofs belong
// to one token and one heartbeat key. Times have microsecond precision.
type Job struct {
	ID       ID
	ReplyTo  ID // the stream for the reply; zero if no reply is wanted
	KeyID    int64
	TokenID  int64
	Received time.Time // when the proofs arrived; verdicts use this time
	Deadline time.Time // after this time no request waits, and the job is not judged
	Proofs   []Proof
}

// Proof is a farmer's proof for one contract: the contract of the job's token for
// this file.
type Proof struct {
	FileHash node.FileHash
	Proof    []byte // binary encoding, see package heartbeat
}

// Late reports whether the job's deadline has passed at now.
func (j *Job) Late(now time.Time) bool { return !now.Before(j.Deadline) }

// MaxJobBytes is the maximum length of a job's binary encoding.
const MaxJobBytes = 4 << 20

const (
	jobVersion = 1
	jobField   = "job"
	proofSize  = len(node.FileHash{}) + 4 // length of an empty proof
)

// jobSize returns the length of the job's binary encoding.
func jobSize(j *Job) int {
	size := 1 + 2*len(ID{}) + 4*8 + 4
	for _, p := range j.Proofs {
		size += proofSize + len(p.Proof)
	}
	return size
}

func appendJob(b []byte, j *Job) []byte {
	b = append(b, jobVersion)
	b = append(b, j.ID[:]...)
	b = append(b, j.ReplyTo[:]...)
	b = codec.AppendInt64(b, j.KeyID)
	b = codec.AppendInt64(b, j.TokenID)
	b = codec.AppendTime(b, j.Received)
	b = codec.AppendTime(b, j.Deadline)
	b = codec.AppendCount(b, len(j.Proofs))
	for _, p := range j.Proofs {
		b = append(b, p.FileHash[:]...)
		b = codec.AppendBlob(b, p.Proof)
	}
	return b
}

// parseJob parses an encoding that appendJob wrote. The proofs are slices of b.
func parseJob(b []byte) (Job, error) {
	if len(b) > MaxJobBytes {
		return Job{}, fmt.Errorf("job: %w: %d bytes", codec.ErrMalformed, len(b))
	}
	var j Job
	r := codec.NewReader(b)
	r.Version(jobVersion)
	r.Fill(j.ID[:])
	r.Fill(j.ReplyTo[:])
	j.KeyID = r.Int64()
	j.TokenID = r.Int64()
	j.Received = r.Time()
	j.Deadline = r.Time()
	j.Proofs = make([]Proof, r.Count(proofSize))
	for i := range j.Proofs {
		p := &j.Proofs[i]
		r.Fill(p.FileHash[:])
		p.Proof = r.Blob()
	}
	if err := r.End(); err != nil {
		return Job{}, fmt.Errorf("job: %w", err)
	}
	return j, nil
}
